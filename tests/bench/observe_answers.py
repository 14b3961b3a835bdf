"""What comparing costs the loop that serves: the time of `observe`, and how late a timer fires with and without it.

`PYTHONPATH=tests/support python tests/bench/observe_answers.py` alternates both, 200 requests a second, 4 s each.
"""

import asyncio
import time
from typing import Final

import numpy as np
from graphc.compare.recorder import Recorder, RecorderOptions
from numpy.typing import NDArray
from seen_answers import body_of, live, shadow

ROUNDS: Final = 6
REQUESTS: Final = 800
SECONDS: Final = 0.005


def make_body(seed: int) -> bytes:
    values = np.random.default_rng(seed).random(320).tolist()
    return body_of(("label", "INT64", [32], list(range(32))), ("p", "FP32", [32, 10], values))


async def serve(recorder: Recorder | None, bodies: tuple[bytes, bytes]) -> tuple[NDArray[np.float64], float]:
    """Return by how many milliseconds each turn was late, and the microseconds of an `observe`."""
    late: list[float] = []
    spent = 0.0
    due = time.perf_counter()
    for number in range(REQUESTS):
        due += SECONDS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        late.append(1000 * (time.perf_counter() - due))
        seen = live(str(number), bodies[0]), shadow(str(number), bodies[1])
        if recorder:
            began = time.perf_counter()
            for each in seen:
                recorder.observe(each)
            spent += time.perf_counter() - began
    return np.array(late), 1e6 * spent / (2 * REQUESTS)


def main() -> None:
    bodies = make_body(1), make_body(2)
    for _ in range(ROUNDS):
        for recorder in (None, Recorder(RecorderOptions())):
            late, spent = asyncio.run(serve(recorder, bodies))
            told = f", observe {spent:.1f} us" if recorder else ""
            print(f"{'with' if recorder else 'without'}: p50 {np.quantile(late, 0.5):.2f} ms", end=", ")
            print(f"p99 {np.quantile(late, 0.99):.2f} ms{told}")
            if recorder:
                recorder.close()


if __name__ == "__main__":
    main()
