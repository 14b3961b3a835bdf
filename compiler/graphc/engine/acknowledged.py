"""What the other end's kernel has acknowledged of the bytes that were sent to it, where this kernel says so."""

import socket
import struct
import sys
from typing import Final

_SIZE: Final = 128
_ACKNOWLEDGED: Final = struct.Struct("@120xQ")
"""`tcpi_bytes_acked` of Linux's `struct tcp_info`; it counts the first packet of a connection as a byte."""


def is_unread(connected: socket.socket, sent_before: int) -> bool:
    """Say whether surely no byte was acknowledged beyond those that were sent before.

    A kernel acknowledges what it keeps for a process to read; what it has not acknowledged, none has read.
    """
    if sys.platform != "linux" or not sent_before:
        return False
    try:
        found = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return False
    if len(found) < _SIZE:
        return False
    # What was answered before was acknowledged: a lower number is none that this kernel keeps.
    return sent_before <= _ACKNOWLEDGED.unpack(found)[0] <= sent_before + 1


def is_silent(connected: socket.socket) -> bool:
    """Say whether an idle connection is as it was left: the other end has neither closed it nor sent anything."""
    try:
        connected.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
