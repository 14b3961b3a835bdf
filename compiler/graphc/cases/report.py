"""Tells what came of cases: for people, as JSON, and as JUnit's XML."""

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from graphc.cases.case import Outcome
from graphc.client.printing import clean
from graphc.records import record

Json = dict[str, object]


@record
class Tried:
    """What came of the cases of one graph, at one level of optimisation."""

    graph: str
    level: int
    outcomes: tuple[Outcome, ...]

    @property
    def title(self) -> str:
        """How reports name it."""
        return f"{self.graph} at -O{self.level}"


def write_text(tried: Tried) -> Iterator[str]:
    """Yield lines for people: the graph, and each case with its faults."""
    yield tried.title
    for each in tried.outcomes:
        word, title = "failed" if each.faults else "passed", clean(each.case.title)
        yield f"  {word}  {title} ({each.answer.seconds * 1000:.3g} ms)"
        yield from (f"          {clean(fault)}" for fault in each.faults)


def summarise(all_tried: Sequence[Tried], seconds: float) -> str:
    """Return the line that ends a report."""
    outcomes = [each for tried in all_tried for each in tried.outcomes]
    failed = sum(bool(each.faults) for each in outcomes)
    count = f"{len(outcomes)} case{'s' * (len(outcomes) != 1)}"
    return f"{count}: {len(outcomes) - failed} passed, {failed} failed in {seconds:.1f} s"


def write_json(all_tried: Sequence[Tried]) -> list[Json]:
    """Return everything as plain data."""
    return [
        {
            "graph": tried.graph,
            "level": tried.level,
            "case": each.case.title,
            "passed": not each.faults,
            "faults": list(each.faults),
            "status": each.answer.status,
            "seconds": each.answer.seconds,
        }
        for tried in all_tried
        for each in tried.outcomes
    ]


def write_junit(all_tried: Sequence[Tried]) -> str:
    """Return the XML that CI systems read."""
    root = ElementTree.Element("testsuites")
    for tried in all_tried:
        failed = sum(bool(each.faults) for each in tried.outcomes)
        seconds = sum(each.answer.seconds for each in tried.outcomes)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=tried.title,
            tests=str(len(tried.outcomes)),
            failures=str(failed),
            errors="0",
            time=f"{seconds:.6f}",
        )
        for each in tried.outcomes:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=tried.graph,
                name=clean(each.case.title),
                time=f"{each.answer.seconds:.6f}",
            )
            if each.faults:
                told = [clean(fault) for fault in each.faults]
                ElementTree.SubElement(case, "failure", message=told[0]).text = "\n".join(told)
    ElementTree.indent(root)
    return f"{ElementTree.tostring(root, 'unicode', xml_declaration=True)}\n"
