"""Writes documents as YAML or JSON: the same bytes for the same data."""

import json
from collections.abc import Mapping, Sequence

import yaml

from graphc.graph import Value


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and never refers back to a value by an alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)  # pyright: ignore[reportUnknownMemberType]


_Dumper.add_representer(str, _represent_text)


def write_yaml(documents: Sequence[Mapping[str, Value]]) -> str:
    """Return the documents as a YAML stream, keys in their order."""
    texts = [
        yaml.dump(dict(each), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)
        for each in documents
    ]
    return "---\n".join(texts)


def write_json(documents: Sequence[Mapping[str, Value]]) -> str:
    """Return one document as JSON, or several as a Kubernetes List."""
    whole: Mapping[str, Value] = documents[0] if len(documents) == 1 else _as_list(documents)
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _as_list(documents: Sequence[Mapping[str, Value]]) -> Mapping[str, Value]:
    return {"apiVersion": "v1", "kind": "List", "items": [dict(each) for each in documents]}
