"""Diagnostics: a user's mistake is a value, collected, sorted and rendered last."""

from graphc.diagnostics.diagnostic import Diagnostic, Rule, Severity, Sink, Span

__all__ = ["Diagnostic", "Rule", "Severity", "Sink", "Span"]
