"""The signature of a LightGBM booster, read from the first lines of its text and not from its trees."""

import io
import os
import re
from typing import Final

from graphc.artefacts.signature import ArtefactTensor, Signature
from graphc.artefacts.source import MalformedError, Source

_MAX_LINES: Final = 64
_MAX_LINE: Final = 1 << 20
_END: Final = b"end of trees"
_COUNT: Final = re.compile(rb"\d{1,9}")


def read_lightgbm(file: io.BufferedReader) -> Signature:
    """Return the signature of the booster in a file; raises MalformedError."""
    source = Source(file, os.fstat(file.fileno()).st_size)
    if source.read_line(_MAX_LINE) != b"tree":
        raise MalformedError("it does not begin as LightGBM's models do")
    header = _read_header(source)
    features = _count(header, b"max_feature_idx") + 1
    columns = _count(header, b"num_tree_per_iteration")
    if not columns or b"feature_names" not in header:
        raise MalformedError("it does not say what it was trained on")
    _check_trees(source, header.get(b"tree_sizes"))
    return Signature(
        (ArtefactTensor("X", None, ("batch", features)),),
        (ArtefactTensor("predict", "FP64", ("batch", *((columns,) if columns > 1 else ()))),),
    )


def _read_header(source: Source) -> dict[bytes, bytes | None]:
    """Return the fields before the first empty line; the value of one that is too long is None."""
    header: dict[bytes, bytes | None] = {}
    for _ in range(_MAX_LINES):
        begin = source.tell()
        line = source.read_line(_MAX_LINE)
        if line is None:
            # What is too long to keep are the names of features and the like: the key is all that is of use.
            end = source.tell()
            source.seek(begin)
            header[source.read(64).partition(b"=")[0]] = None
            source.seek(end)
            continue
        if not line:
            return header
        key, _, value = line.partition(b"=")
        header[key] = value
    raise MalformedError("it has no trees")


def _count(header: dict[bytes, bytes | None], name: bytes) -> int:
    text = header.get(name) or b""
    if not _COUNT.fullmatch(text):
        raise MalformedError(f"its `{name.decode()}` is not a count")
    return int(text)


def _check_trees(source: Source, sizes: bytes | None) -> None:
    """Check that the file goes on to the end of its trees; raises MalformedError."""
    if sizes is None:
        return
    words = sizes.split()
    if not all(_COUNT.fullmatch(word) for word in words):
        raise MalformedError("its `tree_sizes` are not counts")
    source.skip(sum(map(int, words)))
    if source.read(len(_END)) != _END:
        raise MalformedError("its trees do not have the sizes that it says")
