"""What the quick reader of graph files saves at start-up, beside pydantic.

`python tests/bench/measure_declarations.py` prints the least processor time of several processes, in milliseconds.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import yaml

ROUNDS: Final = 15
GRAPH: Final = Path(__file__).parents[2] / "graphs" / "wine-average" / "graph.yaml"

STEPS: Final = {
    "python alone": "",
    "the declarations": "from graphc.spec.fields import InferenceGraph",
    "the declarations, and a graph read": (
        "from graphc.spec.fields import InferenceGraph; from graphc.spec.declare import accept; "
        "assert accept(InferenceGraph, plain)"
    ),
    "the declarations, and pydantic imported": "from graphc.spec.fields import InferenceGraph; import pydantic",
    "the declarations, and a graph read by pydantic": (
        "from graphc.spec.fields import InferenceGraph; from graphc.spec.examine import examine; "
        "assert isinstance(examine(InferenceGraph, plain), InferenceGraph)"
    ),
}


def measure(code: str, plain: str) -> float:
    """Return the processor time of a process that runs some code, in milliseconds."""
    process = subprocess.Popen([sys.executable, "-c", f"plain = {plain}; {code}"])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, code
    return (usage.ru_utime + usage.ru_stime) * 1000


def main() -> None:
    """Measure all steps in turn, so that a busy moment of the machine meets each alike."""
    plain = repr(yaml.safe_load(GRAPH.read_text("utf-8")))
    found = {name: list[float]() for name in STEPS}
    for _ in range(ROUNDS):
        for name, code in STEPS.items():
            found[name].append(measure(code, plain))
    for name, times in found.items():
        print(f"{name}: {min(times):.0f} ms")


if __name__ == "__main__":
    main()
