"""Checks that there is a target of the name that a profile, or whoever compiles, gives."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.fields import NOT_A_CHOICE
from graphc.diagnostics.printable import quoted
from graphc.profiles.profile import Profile
from graphc.targets.find import describe_unknown, list_targets


def check_target(name: str | None, sink: Sink) -> None:
    """Report a name that no target has, given by a program."""
    if name is not None and name not in list_targets():
        sink.report(Diagnostic(NOT_A_CHOICE, describe_unknown(name)))


def check_profile_target(profile: Profile, sink: Sink) -> None:
    """Report a profile whose target is none."""
    name = profile.target
    if name is not None and name not in list_targets():
        listed = ", ".join(f"`{each}`" for each in list_targets())
        message = f"`target` cannot be {quoted(name)}"
        sink.report(Diagnostic(NOT_A_CHOICE, message, profile.target_at, f"it takes {listed}"))
