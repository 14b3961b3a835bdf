"""`graphc lint`: another name for `graphc check`."""

from graphc.cli.check_command import command

__all__ = ["command"]
