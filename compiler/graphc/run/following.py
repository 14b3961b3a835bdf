"""Takes over how a changed file shares the requests, while its graph runs on."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graphc.rollout.describe import describe_rollout
from graphc.rollout.read_rollout import read_rollout
from graphc.rollout.shares import Rollout
from graphc.run.load import Loaded
from graphc.seldon.deployment import read_deployment
from graphc.seldon.documents import KIND
from graphc.seldon.node import ManifestNode
from graphc.unchecked import Data, fields, objects

LOOK_SECONDS: Final = 0.5

_SHARING: Final = frozenset({"traffic", "shadow"})
_OWN: Final = "graphc.dev/"
"""How annotations begin that no unit reads: the rollout itself, gates, and a hash of the whole."""


@dataclass(frozen=True, slots=True)
class Source:
    """Files that may change, and how they are read again; None where they are wrong, which was said."""

    files: Sequence[str]
    read: Callable[[], Loaded | None]

    def stamp(self) -> tuple[tuple[int, int], ...]:
        """Return what changes when a file does."""
        found = (Path(each) for each in self.files)
        return tuple((each.stat().st_mtime_ns, each.stat().st_size) for each in found if each.is_file())


@dataclass(frozen=True, slots=True)
class Follower:
    """Looks at the files of a run, and lets it share the requests as they say."""

    source: Source
    first: Loaded
    share: Callable[[Rollout], Awaitable[None]]
    say: Callable[[str], None]

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        seen = self.source.stamp()
        serving = read_rollout_of(self.first)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self.source.stamp()
            if now == seen:
                continue
            seen = now
            found = await asyncio.to_thread(self.source.read)
            serving = await self._take_over(found, serving) if found is not None else serving

    async def _take_over(self, found: Loaded, serving: Rollout | None) -> Rollout | None:
        rollout = read_rollout_of(found)
        if rollout is None or serving is None or content_of(found) != content_of(self.first):
            self.say("warning: more than shares of the requests has changed; start the run again for that")
            return serving
        if rollout.paths != serving.paths:
            self.say("warning: other paths lead to the versions; start the run again for that")
            return serving
        if rollout != serving:
            await self.share(rollout)
            self.say(describe_rollout(rollout))
        return rollout


def read_rollout_of(loaded: Loaded) -> Rollout | None:
    """Return how the documents share the requests; None where they are none of one graph, or say it wrongly."""
    deployments = [read_deployment(each) for each in loaded.documents if each.text("kind") == KIND]
    try:
        return read_rollout(deployments[0]) if len(deployments) == 1 else None
    except ValueError:
        return None


def content_of(loaded: Loaded) -> str:
    """Return all that units are started with."""
    return json.dumps(
        [[_strip(each) for each in loaded.documents], loaded.overrides], sort_keys=True, default=str
    )


def _strip(document: ManifestNode) -> object:
    if document.text("kind") != KIND:
        return document.plain
    whole = fields(document.plain)
    metadata, spec = fields(whole, "metadata"), fields(whole, "spec")
    annotations = fields(metadata, "annotations")
    read = {name: value for name, value in annotations.items() if not name.startswith(_OWN)}
    predictors = objects(spec, "predictors")
    return {
        **whole,
        "metadata": {**metadata, "annotations": read},
        "spec": {**spec, "predictors": [_strip_predictor(each) for each in predictors]},
    }


def _strip_predictor(predictor: Data) -> Mapping[str, object]:
    # On a cluster, the receiver of its answers names its role; a local run has no receiver.
    graph = _without(fields(predictor, "graph"), frozenset({"logger"}))
    return {**_without(predictor, _SHARING), "graph": graph}


def _without(found: Mapping[str, object], names: frozenset[str]) -> Mapping[str, object]:
    return {name: value for name, value in found.items() if name not in names}
