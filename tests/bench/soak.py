"""Have clients of every kind at a unit, a front and an engine for long: `python tests/bench/soak.py --minutes 15`.

Prints what each server was asked, what went wrong, and what it holds after the first minute and at the end.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "support"))

from mixed_clients import Crowd
from running_servers import Program, run_engine, run_graph

INFER = "/v2/models/twins/infer"


async def _soak(
    ports: dict[str, int], programs: dict[str, Program], minutes: float, clients: int, seed: int
) -> bool:
    crowds = {
        name: Crowd(port, INFER, random.Random(seed + place), has_executor=name != "unit")
        for place, (name, port) in enumerate(ports.items())
    }

    async def run(seconds: float) -> None:
        await asyncio.gather(*(crowd.run(seconds, clients) for crowd in crowds.values()))

    await run(60)
    await asyncio.sleep(3)
    first = {name: program.held() for name, program in programs.items()}
    await run(max(0.0, minutes - 1) * 60)
    await asyncio.sleep(3)
    is_good = True
    for name, crowd in crowds.items():
        print(name, dict(crowd.counts))
        print(name, "failures:", len(crowd.failures), sorted(crowd.failures)[:10])
        is_good &= not crowd.failures
    for name, program in programs.items():
        held = program.held()
        ratio = held.memory / first[name].memory
        print(f"{name}: {first[name].memory >> 10} -> {held.memory >> 10} MiB ({ratio:.3f}), ", end="")
        print(f"{first[name].descriptors} -> {held.descriptors} descriptors")
        is_good &= ratio <= 1.1
    return is_good


def main() -> int:
    """Soak, and return 1 where something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument(
        "--clients", type=int, default=4, help="of each server, beside two that ask without a pause"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    with ExitStack() as stack:
        folders = [
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="graphc-soak-"))) for _ in range(2)
        ]
        one = stack.enter_context(run_graph(folders[0], 1))
        two = stack.enter_context(run_graph(folders[1], 0))
        engine, port = stack.enter_context(run_engine(folders[1], two.units))
        ports = {"unit": one.units["twins"][0], "front": two.http, "engine": port}
        programs = {"one unit": one.program, "two units and their front": two.program, "engine": engine}
        print("seed", options.seed, flush=True)
        is_good = asyncio.run(_soak(ports, programs, options.minutes, options.clients, options.seed))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
