"""What there is to watch of a graph: its versions and units, and which metrics tell of them."""

from graphc.records import record


@record
class Meter:
    """Metrics of one kind of request: a counter by code, a histogram of seconds, and what selects them."""

    count: str
    seconds: str
    """The histogram's name, without `_bucket`."""
    code: str
    """The counter's label that has the status."""
    by: str
    """The label that tells units apart; empty where the requests are the graph's own."""
    selector: str
    count_selector: str = ""
    """What else selects the counter and the histogram, in the metrics' own labels."""

    def matchers(self, *more: str) -> str:
        """Return the matchers of a query, in braces; nothing where there are none."""
        return join_matchers(self.count_selector, self.selector, *more)


@record
class WatchedUnit:
    """A unit, and the nodes in it that count their tries."""

    name: str
    nodes: tuple[str, ...]
    chosen: tuple[str, ...]
    """The nodes that run for some requests alone: a router or a cascade chooses them."""
    stands_in: bool
    """Whether something stands in for a node that fails."""
    is_batched: bool


@record
class WatchedVersion:
    """A predictor."""

    name: str
    share: str
    """What share of the requests it gets, as a reader is told; empty where it has no other beside it."""
    is_shadow: bool
    requests: Meter
    """What counts the requests of clients."""
    calls: Meter | None
    """What counts the calls to units; None where it would count the same as `requests`."""
    pages: str
    """What selects the pages of its units."""
    has_batches: bool
    """Whether the pages that are scraped have the metrics of batches."""
    up: str
    """What selects `up` of its units; empty where the calls tell."""
    deadline_ms: int | None
    units: tuple[WatchedUnit, ...]


@record
class Watched:
    """A graph."""

    name: str
    namespace: str | None
    versions: tuple[WatchedVersion, ...]
    is_compared: bool
    """Whether a service that compares versions tells of them."""


def join_matchers(*matchers: str) -> str:
    """Return matchers in braces; nothing where there are none."""
    found = ",".join(each for each in matchers if each)
    return f"{{{found}}}" if found else ""
