"""Look for inputs that break a reader, guided by coverage: `python tests/fuzz/fuzz.py TARGET --seconds 60`.

What breaks one is written to `--found`; made small with `--minimize FILE`, it belongs in `tests/fuzz/kept/TARGET`.
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, cast

import atheris

sys.path.append(str(Path(__file__).parents[1] / "support"))

from fuzz_targets import TARGETS, Target

KEPT = Path(__file__).parent / "kept"


def _write_corpus(target: Target, folder: Path) -> None:
    kept = sorted((KEPT / target.name).glob("*")) if (KEPT / target.name).is_dir() else []
    for number, data in enumerate([*target.seeds(), *(each.read_bytes() for each in kept)]):
        (folder / f"seed-{number}").write_bytes(data)


def _write_words(target: Target, file: Path) -> None:
    lines = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in target.words)
    file.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Fuzz one target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--found", type=Path, default=Path())
    parser.add_argument("--corpus", type=Path, help="a folder that keeps what reached new branches")
    parser.add_argument("--seed", type=int, default=0, help="0 draws one")
    options = parser.parse_args()
    # What a library warns of would be printed to whoever called.
    warnings.simplefilter("error")
    target = TARGETS[options.target]
    with tempfile.TemporaryDirectory(prefix="graphc-fuzz-") as name:
        folder = Path(name)
        seeds = folder / "seeds"
        seeds.mkdir()
        _write_corpus(target, seeds)
        _write_words(target, folder / "words")
        corpus = options.corpus or folder / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        options.found.mkdir(parents=True, exist_ok=True)
        with cast("Any", atheris).instrument_imports(include=[*target.modules]):
            # Readers are imported where they are first used: now, so that their branches are counted.
            for data in target.seeds():
                target.check(data)
        arguments = [
            sys.argv[0],
            f"-max_total_time={options.seconds}",
            f"-max_len={target.longest}",
            f"-artifact_prefix={options.found}/",
            f"-seed={options.seed}",
            "-timeout=20",
            "-rss_limit_mb=3000",
            "-print_final_stats=1",
            *([f"-dict={folder / 'words'}"] if target.words else []),
            str(corpus),
            str(seeds),
        ]
        cast("Any", atheris).Setup(arguments, target.check)
        cast("Any", atheris).Fuzz()


if __name__ == "__main__":
    main()
