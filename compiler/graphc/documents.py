"""Writes documents as YAML or JSON: the same bytes for the same data, with libyaml and without it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

import yaml

from graphc.ir.graph import Value

_SAME: Final = re.compile(r"[ -~]*|[!-~](?:[ -~\n]*[!-~])?\n?")
"""Texts that libyaml and PyYAML write alike: of one line, or of lines with nothing odd at either end."""
_SAME_KEY: Final = re.compile(r"[!-~](?:[ -~]{0,98}[!-~])?")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and never refers back to a value by an alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True


class _FastDumper(yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper):  # pyright: ignore
    """The same by libyaml, a hundred times as fast."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper | yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)  # pyright: ignore[reportUnknownMemberType]


_Dumper.add_representer(str, _represent_text)
_FastDumper.add_representer(str, _represent_text)  # pyright: ignore[reportUnknownMemberType]


def write_yaml(documents: Sequence[Mapping[str, Value]]) -> str:
    """Return the documents as a YAML stream, keys in their order."""
    return "---\n".join(map(_write_document, documents))


def _write_document(document: Mapping[str, Value]) -> str:
    plain = dict(document)
    dumper = _FastDumper if _is_written_alike(plain) else _Dumper
    return yaml.dump(plain, Dumper=dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)


def _is_written_alike(value: object) -> bool:
    if isinstance(value, str):
        return _SAME.fullmatch(value) is not None
    if isinstance(value, Mapping):
        return all(
            _SAME_KEY.fullmatch(key) is not None and _is_written_alike(each)
            for key, each in cast("Mapping[str, object]", value).items()
        )
    if isinstance(value, list | tuple):
        return all(map(_is_written_alike, cast("Sequence[object]", value)))
    return True


def write_json(documents: Sequence[Mapping[str, Value]]) -> str:
    """Return one document as JSON, or several as a Kubernetes List."""
    whole: Mapping[str, Value] = documents[0] if len(documents) == 1 else _as_list(documents)
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _as_list(documents: Sequence[Mapping[str, Value]]) -> Mapping[str, Value]:
    return {"apiVersion": "v1", "kind": "List", "items": [dict(each) for each in documents]}
