"""What `graphc view --diff` draws: two graph files as one picture."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, cast

import click

from graphc.cli.reporting import exit_if_rejected, report
from graphc.cluster.difference import find_changes
from graphc.compile.compile_files import compile_files
from graphc.compile.pipeline import CheckedGraph
from graphc.compile.request import Request
from graphc.frontend.predictors import DEFAULT
from graphc.ir.graph import Value
from graphc.source.located import to_plain
from graphc.view.containers import find_containers
from graphc.view.contents import find_contents
from graphc.view.draw_change import CONTENT, draw_change
from graphc.view.draw_graph import draw_graph
from graphc.view.draw_plan import draw_plan
from graphc.view.drawing import Change, Drawing, Told
from graphc.view.place import ViewError
from graphc.view.write_change import ChangedPredictor, find_told, group_alike, write_change
from graphc.view.write_drawing import Format, write_drawing
from graphc.view.write_page import Tab, write_page

_CHANGES: Final[Mapping[str, Change]] = {"add": "added", "remove": "removed", "change": "changed"}
_DRAWN: Final = frozenset({"nodes", "inputs", "outputs", "predictors"})
"""Fields of a graph that the pictures show."""


def write_difference(
    request: Request, files: tuple[str, str], format_: str, of: str, predictor: str | None
) -> str:
    """Compile both files, and return what one changes of the other; problems are reported, and end the command."""
    (before, old_sources), (after, new_sources) = (_compile(request, file) for file in files)
    found = list(_compare(before, after))
    names = [each.name for each in found]
    if predictor is not None and predictor not in names:
        raise click.BadParameter(f"the predictors are {', '.join(names)}", param_hint="--predictor")
    chosen = [each for each in found if predictor in (None, each.name)]
    title = f"{files[0]} → {files[1]}"
    whole = list(_compare_settings(before, after))
    try:
        if format_ == "text":
            return write_change(title, whole, chosen)
        if format_ == "html":
            tabs = [Tab(_title(each), each.graph, each.plan) for each in chosen]
            told = [(names, each.told) for names, each in group_alike(chosen)]
            return write_page(title, tabs, {**old_sources, **new_sources}, [("", tuple(whole)), *told])
        first = chosen[0]
        drawing = first.graph if of == "graph" else first.plan
        drawing = replace(drawing, told=(*whole, *first.told))
        return write_drawing(drawing, cast("Format", format_))
    except ViewError as error:
        raise click.ClickException(str(error)) from error


def _compile(request: Request, file: str) -> tuple[CheckedGraph, Mapping[str, str]]:
    done = compile_files(replace(request, paths=(file,)))
    report(done, "text", to_stderr=True)
    if not done.only_lost:
        exit_if_rejected(done)
    if len(done.graphs) != 1:
        raise click.ClickException(f"{file} has {len(done.graphs)} graphs; view compares files of one")
    return done.graphs[0], done.sources


def _compare(before: CheckedGraph, after: CheckedGraph) -> Iterator[ChangedPredictor]:
    """Yield the predictors of after, and then those that are gone."""
    old, new = _read_predictors(before), _read_predictors(after)
    for name in dict.fromkeys([*after.plans, *before.plans]):
        was, is_ = name in before.plans, name in after.plans
        pictures = (
            _draw(before, name) if was else (None, None),
            _draw(after, name) if is_ else (None, None),
        )
        graph, plan = (draw_change(*pair) for pair in zip(*pictures, strict=True))
        if was and is_:
            told = find_told(tuple(_tell(old[name], new[name])), graph, plan)
            yield ChangedPredictor(name, "changed" if told else None, graph, plan, told)
        else:
            change: Change = "removed" if was else "added"
            share = _say_share((old if was else new)[name])
            told = (Told(change, f"predictor `{name}`{share}"),)
            yield ChangedPredictor(name, change, graph, plan, told)


def _read_predictors(graph: CheckedGraph) -> Mapping[str, Mapping[str, Value]]:
    """Return what a file says of each predictor, apart from its nodes."""
    written = cast(
        "dict[str, dict[str, Value]]", cast("dict[str, Value]", to_plain(graph.spec.root)).get("predictors")
    )
    if not written:
        return {DEFAULT: {"traffic": 100}}
    return {
        name: {key: each for key, each in said.items() if key != "nodes"} for name, said in written.items()
    }


def _say_share(predictor: Mapping[str, Value]) -> str:
    if predictor.get("shadow"):
        return ", a shadow"
    return f", {predictor['traffic']} % of the requests" if "traffic" in predictor else ""


def _compare_settings(before: CheckedGraph, after: CheckedGraph) -> Iterator[Told]:
    """Yield what changes of the file beside what is drawn."""
    said = (
        {
            key: each
            for key, each in cast("dict[str, Value]", to_plain(graph.spec.root)).items()
            if key not in _DRAWN
        }
        for graph in (before, after)
    )
    return _tell(*said)


def _tell(before: Mapping[str, Value], after: Mapping[str, Value]) -> Iterator[Told]:
    for each in find_changes(dict(before), dict(after)):
        yield Told(_CHANGES[each.action], each.words())


def _draw(graph: CheckedGraph, name: str) -> tuple[Drawing, Drawing]:
    documents = graph.emission.documents if graph.emission else ()
    contents = find_contents(graph.graphs[name])
    drawn = draw_graph(graph.graphs[name])
    plan = draw_plan(graph.plans[name], find_containers(documents, name))
    return _add_contents(drawn, contents), _add_contents(plan, contents)


def _add_contents(drawing: Drawing, contents: Mapping[str, str]) -> Drawing:
    boxes = (
        replace(box, facts={**box.facts, CONTENT: contents[box.origin]})
        if box.id == f"node:{box.origin}" and box.origin in contents
        else box
        for box in drawing.boxes
    )
    return replace(drawing, boxes=tuple(boxes))


def _title(predictor: ChangedPredictor) -> str:
    sign = {"added": "+ ", "removed": "\N{MINUS SIGN} ", "changed": "~ "}.get(predictor.change or "", "")
    return f"{sign}{predictor.name}"
