"""What units log is shown as it comes, whole lines at a time, each after its unit."""

import asyncio
from pathlib import Path

from graphc.run.logs import follow_logs
from graphc.run.running import common_place


def test_lines_are_shown_whole_and_once(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    said: list[str] = []

    async def follow() -> None:
        first.write_text("one\ntw")
        task = asyncio.create_task(follow_logs({"a": first, "main/b": second}, said.append))
        while not said:
            await asyncio.sleep(0.01)
        assert said == ["a | one"]
        with first.open("ab") as file:
            file.write(b"o\n\xff")
        second.write_text("x\n")
        while len(said) < 3:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(follow())
    assert said == ["a | one", "a | two", "main/b | x", "a | \ufffd"]


def test_a_line_without_an_end_is_shown_in_parts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * (3 << 20))
    said: list[str] = []

    async def follow() -> None:
        task = asyncio.create_task(follow_logs({"a": log}, said.append))
        while sum(map(len, said)) < 3 << 20:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(follow())
    assert "".join(line.removeprefix("a | ") for line in said) == "x" * (3 << 20)


def test_paths_of_logs_are_told_as_one() -> None:
    assert common_place([Path("/r/0/units/m/log")]) == "/r/0/units/m/log"
    assert common_place([Path("/r/0/units/m/log"), Path("/r/1/units/m/log")]) == "/r/*/units/m/log"
    assert common_place([Path("/r/0/units/m/log"), Path("/r/0/units/n/log")]) == "/r/0/units/*/log"
