"""Reads and writes what graphc remembers; of two that change a graph at once, one waits or is refused."""

import getpass
import hashlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from graphc.cluster.bundle import CONFIG_MAP, Bundle
from graphc.cluster.client import Cluster, Ref, ref_of
from graphc.cluster.problem import ClusterError, RefusedError
from graphc.cluster.records import (
    GRAPH_LABEL,
    RECORD_LABEL,
    Holder,
    Pending,
    State,
    fill,
    read_revision,
    read_state,
    revision_ref,
    state_ref,
    write_revision,
    write_state,
)
from graphc.unchecked import Data

BEAT_SECONDS: Final = 5.0
"""How often a change under way says that it lives."""
DEAD_SECONDS: Final = 20.0
"""A change that says nothing for so long was killed; no clock but the reader's own measures it."""


def now() -> str:
    """Return the time, for people."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def identify(cluster: Cluster) -> Holder:
    """Return who this process acts for, and where it can be looked for."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    host = socket.gethostname()
    who = cluster.access.user or f"{user}@{host}"
    return Holder(who, _machine(host), os.getpid())


def _machine(host: str) -> str:
    """Return what tells this machine's processes from all others with the same numbers."""
    parts = [host]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(Path(path).readlink().name if "ns" in path else Path(path).read_text().strip())
        except OSError:
            # Elsewhere than on Linux the host's name has to do.
            continue
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return process > 0


@dataclass(slots=True)
class Ledger:
    """What is remembered of one graph."""

    cluster: Cluster
    namespace: str
    graph: str

    def load(self) -> State:
        """Return the state; that of a graph which graphc never changed where there is none."""
        found = self.cluster.get(state_ref(self.namespace, self.graph))
        return State(self.graph, self.namespace) if found is None else read_state(found)

    def save(self, state: State) -> State:
        """Write a state over the one that it was made from; raises where somebody was faster."""
        stamped = replace(state, stamp=secrets.token_hex(8))
        document = write_state(stamped)
        try:
            written = self.cluster.replace(document) if state.version else self.cluster.create(document)
        except RefusedError as refused:
            # A request that was sent twice conflicts with itself.
            found = self.load() if refused.is_conflict else None
            if found is not None and found.stamp == stamped.stamp:
                return found
            if refused.is_conflict or (refused.is_missing and state.version):
                raise ClusterError(
                    f"somebody else is changing `{self.graph}` at this moment; try again"
                ) from refused
            raise
        return replace(stamped, version=read_state(written).version)

    def record(self, bundle: Bundle, revision: int) -> None:
        """Keep a revision's documents; what an unfinished change left under that number is replaced."""
        document = write_revision(bundle, revision)
        ref = ref_of(document)
        found = self.cluster.get(ref)
        if found is not None and found.get("binaryData") == document["binaryData"]:
            return
        if found is not None:
            self.cluster.delete(ref)
        self.cluster.create(document)

    def forget(self, revision: int) -> None:
        """Delete a revision's documents."""
        self.cluster.delete(revision_ref(self.namespace, self.graph, revision))

    def forget_all_but(self, kept: Iterable[int]) -> None:
        """Delete the documents of all other revisions, those that a killed change left included."""
        wanted = {revision_ref(self.namespace, self.graph, revision).name for revision in kept}
        labels = {GRAPH_LABEL: self.graph, RECORD_LABEL: "revision"}
        for name in self.cluster.names(CONFIG_MAP, self.namespace, labels):
            if name not in wanted:
                self.cluster.delete(Ref(CONFIG_MAP, self.namespace, name))

    def read(self, revision: int) -> list[Data]:
        """Return a revision's documents, complete; raises where they are not there any more."""
        found = self.cluster.get(revision_ref(self.namespace, self.graph, revision))
        if found is None:
            raise ClusterError(
                f"the documents of revision {revision} of `{self.graph}` are not there any more"
            )
        return [fill(each, self.cluster.get(ref_of(each, self.namespace))) for each in read_revision(found)]

    def take_over(self, say: Callable[[str], None]) -> State:
        """Return the state when no change is under way: one that was killed is left to the caller."""
        state = self.load()
        if state.pending is None or self._is_dead(state.pending):
            return state
        say(
            f"{state.pending.holder.who} is changing `{self.graph}` ({state.pending.what}); waiting for that to end"
        )
        quiet = time.monotonic()
        while state.pending is not None and time.monotonic() - quiet < DEAD_SECONDS:
            self.cluster.sleep(1.0)
            later = self.load()
            if later.stamp != state.stamp and later.pending is not None:
                who = later.pending.holder.who
                raise ClusterError(
                    f"{who} is changing `{self.graph}` ({later.pending.what}); try again later"
                )
            if later.pending is None or self._is_dead(later.pending):
                return later
            state = later
        return state

    def _is_dead(self, pending: Pending) -> bool:
        me = identify(self.cluster)
        here = pending.holder.machine == me.machine
        return here and (pending.holder.process == me.process or not _is_alive(pending.holder.process))


def list_states(cluster: Cluster, namespace: str) -> list[State]:
    """Return the states of all graphs of a namespace, by name."""
    found = cluster.find(CONFIG_MAP, namespace, {RECORD_LABEL: "state"})
    return sorted((read_state(each) for each in found), key=lambda state: state.graph)
