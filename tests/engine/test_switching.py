"""A listener that switches: what came before is waited for, answers in parts until they are closed."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from graphc.engine.connection import Response, StreamedResponse
from graphc.engine.heads import Head
from graphc.engine.listen import _Counted  # pyright: ignore[reportPrivateUsage]
from graphc.engine.server import Application
from graphc.engine.streams import UnitStream

HEAD: Final = cast("Head", None)


class Parts:
    """An answer in parts, as far as it is closed."""

    def __init__(self, told: list[str]) -> None:
        self.on_close: Callable[[], None] | None = lambda: told.append("told")

    def close(self) -> None:
        assert self.on_close is not None
        self.on_close()


class Answers:
    def __init__(self, parts: Parts | None = None) -> None:
        self.parts, self.gone_on = parts, asyncio.Event()

    async def answer(self, _: Head, body: bytes) -> Response | StreamedResponse:
        await self.gone_on.wait()
        return (
            Response(200, body)
            if self.parts is None
            else StreamedResponse(cast("UnitStream", self.parts), ())
        )


def test_what_is_under_way_is_waited_for() -> None:
    async def test() -> None:
        answers = Answers()
        counted = _Counted(cast("Application", answers), cast("None", None))  # type: ignore[arg-type]
        asked = [asyncio.create_task(counted.answer(HEAD, b"x")) for _ in range(3)]
        idle = asyncio.create_task(counted.wait_idle())
        await asyncio.sleep(0.3)
        assert not idle.done()
        # A client that leaves is no longer waited for.
        asked[0].cancel()
        answers.gone_on.set()
        assert [await each for each in asked[1:]] == [Response(200, b"x")] * 2
        await asyncio.wait_for(idle, 5)

    asyncio.run(test())


def test_an_answer_in_parts_is_under_way_until_it_is_closed() -> None:
    async def test() -> None:
        told = list[str]()
        parts = Parts(told)
        answers = Answers(parts)
        answers.gone_on.set()
        counted = _Counted(cast("Application", answers), cast("None", None))  # type: ignore[arg-type]
        await counted.answer(HEAD, b"")
        idle = asyncio.create_task(counted.wait_idle())
        await asyncio.sleep(0.3)
        assert not idle.done()
        parts.close()
        await asyncio.wait_for(idle, 5)
        assert told == ["told"]

    asyncio.run(test())
