"""What a manifest says of the packages that its units' images have, for a run of it on another machine."""

import json
from collections.abc import Mapping
from typing import Final, cast

from graphc.packages.requirements import Requirements, join_requirements, parse_requirement
from graphc.unchecked import parse

ANNOTATION: Final = "graphc.dev/requirements"


def write_annotation(required: Mapping[str, Requirements]) -> dict[str, str]:
    """Return the annotation of a deployment whose predictors require packages; none where no one does."""
    listed = {
        name: [" ".join([each.line, *(f"--hash={digest}" for digest in each.hashes)]) for each in found.each]
        for name, found in required.items()
        if found.each
    }
    return {ANNOTATION: json.dumps(listed, separators=(",", ":"))} if listed else {}


def read_annotation(text: str) -> dict[str, Requirements]:
    """Return the packages by predictor; raises ValueError with a user's words."""
    try:
        plain = parse(text)
    except ValueError:
        raise ValueError("is not JSON") from None
    if not isinstance(plain, dict):
        raise ValueError("is not a mapping of predictors")
    return {name: _read(lines) for name, lines in cast("dict[str, object]", plain).items()}


def _read(lines: object) -> Requirements:
    listed = cast("list[object]", lines) if isinstance(lines, list) else [lines]
    texts = [each for each in listed if isinstance(each, str)]
    if len(texts) < len(listed):
        raise ValueError("is not a list of packages for each predictor")
    return join_requirements(parse_requirement(each) for each in texts)
