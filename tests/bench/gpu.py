"""Measures units on a real GPU: `python tests/bench/gpu.py [--json FILE]`.

Takes numpy, onnx, pydantic, prometheus-client and onnxruntime-gpu, and a device that nothing else uses. Each check runs
in processes of its own, so that none leaves anything behind. `--device cpu` takes the same steps with small models and
an onnxruntime that pretends to have CUDA: it shows that the bench itself works, and says nothing of GPUs.

Ends with 0 where all is as it should be, 1 where something is not, and 3 where there is no GPU.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).parents[2]
SUPPORT: Final = REPOSITORY / "tests" / "support"
SOURCES: Final = [str(REPOSITORY / name) for name in ("compiler", "components", "runtimes")]
sys.path[:0] = [*SOURCES, str(SUPPORT)]

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
from device_models import DeviceModel, write_models  # noqa: E402
from graphc.hardware.memory import ASSUMED, estimate_unit, read_memory  # noqa: E402

Json = dict[str, Any]

ROWS: Final = 64
NO_GPU: Final = 3

LEAST_SHARE: Final = 0.90
"""Of the batches a second of onnxruntime alone."""
MOST_OFF: Final = 0.15
"""Of the memory that is used, either way, of an estimate."""
MOST_ERROR: Final = 0.01
"""Of the largest output: products are rounded to TF32 on GPUs that have it, with ten bits of mantissa."""


@dataclass
class Report:
    """Figures, and whether each is as it should be; None where that is not judged."""

    device: str
    rows: list[tuple[str, str, str, bool | None]] = field(
        default_factory=list[tuple[str, str, str, bool | None]]
    )

    def add(self, check: str, of: str, figure: str, is_well: bool | None) -> None:
        """Print a line, and keep it."""
        verdict = {True: "ok", False: "NOT OK", None: "not judged"}[is_well]
        print(f"{check:<16} {of:<30} {figure:<64} {verdict}", flush=True)
        self.rows.append((check, of, figure, is_well))

    @property
    def is_well(self) -> bool:
        """Whether nothing is as it should not be."""
        return all(each[3] is not False for each in self.rows)


class Child:
    """A process with one model, on a device."""

    def __init__(self, bench: "Bench", model: DeviceModel, device: str, **job: Any) -> None:
        job |= {"model": str(model.path), "region": _region(model), "folder": str(model.path.parent)}
        job |= {"device": device, "pretend": bench.pretends, "full": str(bench.full), "rows": ROWS}
        job |= {"threads": 1 if bench.pretends else None}
        self.model, self._bench = model, bench
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in `close`)
        self.process = subprocess.Popen(
            [sys.executable, str(SUPPORT / "on_device.py"), json.dumps(job)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([*SOURCES, str(SUPPORT)])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )

    def do(self, what: str, **arguments: Any) -> Json | None:
        """Have the process do something, and return what it says; None where it has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        return json.loads(line) if line else None

    def must(self, what: str, **arguments: Any) -> Json:
        """Do something that has to succeed; what the process wrote is shown where it does not."""
        done = self.do(what, **arguments)
        if done is None or "error" in done:
            raise SystemExit(f"{self.model.name}: {what}: {(done or {}).get('error', 'ended')}\n{self.words}")
        return done

    def answer(self, rows: int) -> tuple[Json | None, Any]:
        """Return what the process says of a request, and its answer; None where there is none."""
        path = self._bench.folder / f"answer-{self.process.pid}.npy"
        path.unlink(missing_ok=True)
        done = self.do("answer", inputs=self._bench.inputs(self.model, rows), to=str(path))
        return done, np.load(path) if path.exists() else None

    @property
    def words(self) -> str:
        """What the process wrote."""
        self._log.seek(0)
        return self._log.read()[-4000:]

    def close(self) -> int:
        """End the process, and return its code."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._log.close()
        return code


def _region(model: DeviceModel) -> Json:
    rows: int | str = model.rows or "batch"

    def tensor(name: str, sizes: Sequence[int]) -> Json:
        return {"name": name, "datatype": "FP32", "shape": [rows, *sizes]}

    x, y = tensor("x", model.sizes), tensor("y", [10])
    node = {"name": "n", "kind": "model", "framework": "onnx", "path": model.path.name}
    node |= {"inputs": {"X": {"tensor": "x", "gather": []}}, "outputs": {"Y": "n.Y"}, "when": []}
    region = {"graphc": 1, "graph": {"name": "bench", "inputs": [x], "outputs": [y]}, "unit": "bench"}
    region |= {"takes": [x], "nodes": [node], "answers": [y | {"tensor": "n.Y"}], "wire": "plain"}
    return region if model.rows else region | {"batch": {"max_size": ROWS}}


class Bench:
    """What is measured, in which folder, and on what."""

    def __init__(self, folder: Path, *, pretends: bool) -> None:
        self.folder, self.pretends, self.full = folder, pretends, folder / "full"
        self.models = write_models(folder, ROWS, small=pretends)
        self.report = Report(
            "a CPU that pretends" if pretends else _query("name,driver_version,memory.total")
        )

    @contextmanager
    def child(self, model: DeviceModel, device: str, **job: Any) -> Generator[Child]:
        """Have a process with a model for a while."""
        child = Child(self, model, device, **job)
        try:
            yield child
        finally:
            child.close()

    def inputs(self, model: DeviceModel, rows: int) -> str:
        """Return a file of inputs."""
        path = self.folder / f"{model.path.stem}-{rows}.npy"
        if not path.exists():
            np.save(path, model.draw(rows))
        return str(path)

    def run(self, seconds: float, rounds: int) -> Report:
        """Take all measurements."""
        print(f"{self.report.device}; onnxruntime {onnxruntime.__version__}\n", flush=True)
        for model in self.models:
            self._check_answers(model)
        for model in self.models:
            self._check_throughput(model, seconds, rounds)
        for model in self.models:
            self._check_memory(model)
        dense = self.models[0]
        self._check_full_at_start(dense)
        self._check_full_later(dense)
        for model in (dense, self.models[-1]):
            self._check_gone(model)
        return self.report

    def _on_cpu(self, model: DeviceModel, rows: int) -> Any:
        with self.child(model, "cpu") as child:
            child.must("load")
            _, answer = child.answer(rows)
            return answer

    def _check_answers(self, model: DeviceModel) -> None:
        right = self._on_cpu(model, ROWS)
        with self.child(model, "cuda") as child:
            operators = child.must("load")["operators"]
            _, answer = child.answer(ROWS)
        error = _error(answer, right)
        figure = f"differs from the CPU by {error:.1e} of the largest output"
        self.report.add("answers", model.name, figure, error <= MOST_ERROR)
        on_cpu = sum(sum(each.values()) for each in operators.values())
        self.report.add("operators", model.name, f"{on_cpu} run on the CPU", on_cpu == 0)

    def _check_throughput(self, model: DeviceModel, seconds: float, rounds: int) -> None:
        with self.child(model, "cuda") as child:
            child.must("load")
            found = child.must("compare", inputs=self.inputs(model, ROWS), seconds=seconds, rounds=rounds)
        shares = [unit / bare for bare, unit in zip(found["bare"], found["unit"], strict=True)]
        share = statistics.median(shares)
        rate = statistics.median(found["unit"]) * ROWS
        figure = (
            f"{share:.2f} of onnxruntime alone [{min(shares):.2f}, {max(shares):.2f}], {rate:,.0f} rows/s"
        )
        self.report.add(
            f"batches of {ROWS}", model.name, figure, None if self.pretends else share >= LEAST_SHARE
        )

    def _check_memory(self, model: DeviceModel) -> None:
        estimate = estimate_unit([read_memory(model.path, ROWS)])
        before = self._used(None)
        with self.child(model, "cuda") as child:
            child.must("load")
            for _ in range(3):
                child.answer(ROWS)
            used = self._used(child) - before
        off = estimate.total / used - 1
        models = estimate.total - estimate.context
        figure = f"{used} MiB used, {estimate.total} estimated ({off:+.0%}; {models} but for CUDA)"
        self.report.add("memory", model.name, figure, None if self.pretends else abs(off) <= MOST_OFF)

    def _used(self, child: Child | None) -> int:
        """Return MiB in use: of the device, or of a process that only pretends to have one."""
        if not self.pretends:
            return int(_query("memory.used"))
        if child is None:
            return 0
        status = Path(f"/proc/{child.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) // 1024

    @contextmanager
    def _full(self, model: DeviceModel) -> Generator[None]:
        """Have another process take all the memory that is left."""
        with self.child(model, "cuda") as hog:
            hog.must("fill")
            try:
                yield
            finally:
                self.full.unlink(missing_ok=True)

    def _check_full_at_start(self, model: DeviceModel) -> None:
        right = self._on_cpu(model, ROWS)
        with self._full(model):
            with self.child(model, "cuda") as child:
                told = child.do("load")
            reason = (told or {}).get("error", "")
            figure = f"does not load: {_short(reason)}" if reason else "loads, or ends without a reason"
            self.report.add("full, at start", "gpu", figure, bool(reason))
            with self.child(model, "prefer-cuda") as child:
                told = child.do("load")
                _, answer = child.answer(ROWS) if told is not None else (None, None)
            self._judge_fallback("full, at start", told, answer, right)

    def _check_full_later(self, model: DeviceModel) -> None:
        many = 2 * ROWS if self.pretends else 100_000
        right = self._on_cpu(model, many)
        with self.child(model, "cuda") as needs, self.child(model, "prefer-cuda") as prefers:
            for child in (needs, prefers):
                child.must("load")
            with self._full(model):
                failed, _ = needs.answer(many)
                again, answer = needs.answer(ROWS)
                is_well = (
                    failed is not None and "error" in failed and again is not None and answer is not None
                )
                figure = "a large request fails alone" if is_well else f"{failed}, then {again}"
                self.report.add("full, later", "gpu", figure, is_well)
                told, answer = prefers.answer(many)
                self._judge_fallback("full, later", told, answer, right)

    def _check_gone(self, model: DeviceModel) -> None:
        right = self._on_cpu(model, ROWS)
        with self.child(model, "prefer-cuda") as child:
            child.must("load")
            code = child.must("ruin")["code"]
            told, answer = child.answer(ROWS)
            self._judge_fallback(f"gone ({code})", told, answer, right, model.name)
        needs = Child(self, model, "cuda")
        needs.must("load")
        needs.must("ruin")
        told, _ = needs.answer(ROWS)
        code = needs.close()
        has_ended = code == -signal.SIGTERM
        figure = "the process ends, for its container to start anew" if has_ended else f"code {code}: {told}"
        self.report.add("gone", f"gpu, {model.name}", figure, has_ended)

    def _judge_fallback(self, check: str, told: Json | None, answer: Any, right: Any, of: str = "") -> None:
        reason = (told or {}).get("fallback")
        is_right = answer is not None and _error(answer, right) <= MOST_ERROR
        figure = f"answers on the CPU: {_short(reason)}" if reason and is_right else f"{told}"
        self.report.add(check, f"prefer-gpu, {of}" if of else "prefer-gpu", figure, bool(reason) and is_right)


def _error(answer: Any, right: Any) -> float:
    return float(np.abs(answer - right).max() / np.abs(right).max())


def _short(reason: str | None) -> str:
    return " ".join((reason or "").split())[:40]


def _query(what: str) -> str:
    command = ["nvidia-smi", "--id=0", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def find_missing() -> Iterator[str]:
    """Yield what a machine lacks."""
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        yield f"onnxruntime {onnxruntime.__version__} has no CUDAExecutionProvider (onnxruntime-gpu has)"
    try:
        _query("name")
    except (OSError, subprocess.CalledProcessError):
        yield "nvidia-smi finds no device"


def main() -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement of throughput")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="a file for the figures")
    options = parser.parse_args()
    pretends = options.device == "cpu"
    missing = [] if pretends else list(find_missing())
    if missing:
        print(f"There is no GPU here: {'; '.join(missing)}. Nothing was measured.")
        return NO_GPU
    with tempfile.TemporaryDirectory() as folder:
        report = Bench(Path(folder), pretends=pretends).run(options.seconds, options.rounds)
    if options.json is not None:
        found = {"device": report.device, "onnxruntime": onnxruntime.__version__, "rows": report.rows}
        options.json.write_text(json.dumps(found | {"assumed": asdict(ASSUMED)}, indent=2) + "\n")
    return 0 if report.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
