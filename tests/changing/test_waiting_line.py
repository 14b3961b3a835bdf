"""A wait is one line that changes on a terminal, and a line now and then elsewhere."""

import io
import sys

import pytest
from graphc.cli.waiting import WaitingLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_written_again_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Terminal()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setenv("COLUMNS", "40")
    line = WaitingLine()
    line.show("samples: 1")
    line.show("samples: 2 " + 80 * "x")
    line.done()
    clear = "\r\x1b[2K"
    assert said.getvalue() == f"{clear}samples: 1{clear}samples: 2 {27 * 'x'}…{clear}"


def test_elsewhere_a_line_comes_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("graphc.cli.waiting.time.monotonic", lambda: now[0])
    line = WaitingLine()
    for second in range(31):
        now[0] = float(second)
        line.show(f"samples: {second}")
    line.done()
    assert capsys.readouterr().err == "samples: 0\nsamples: 15\nsamples: 30\n"
