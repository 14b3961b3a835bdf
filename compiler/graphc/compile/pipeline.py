"""The pipeline of a graph: every step from its document to what a target makes of it.

A step of the kind `Check` reports and changes nothing. One of the kind `Build` fills in a field and reports nothing:
it is total, and where something is wrong it leaves a hole that has a type of its own, for a check to see. Three steps
are of the kind `Read`, the exceptions to that: readers of files tell what is wrong where they find it, and a target
has a pipeline of its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from graphc.artefacts.read_signature import Signatures
from graphc.compile.compiling import Compiling
from graphc.compile.planning import Planning
from graphc.compile.read_versions import pass_on_versions, read_version
from graphc.compile.reading import Reading, ordered
from graphc.compile.request import Request
from graphc.compile.stages import Build, Check, Read, Stage, anyhow, run_stages, sound
from graphc.compile.versions import CheckedVersion, Versions, pass_on
from graphc.diagnostics import Sink
from graphc.diagnostics.codes.flow import ARITY, DEAD_NODE, UNUSED_INPUT
from graphc.diagnostics.codes.gates import NOTHING_TO_JUDGE
from graphc.diagnostics.codes.reading import PARAMETER_UNUSED
from graphc.frontend.assemble import resources_of
from graphc.frontend.predictors import predictors_of
from graphc.ir.graph import Graph
from graphc.ir.limits import Limits
from graphc.ir.plan import Plan
from graphc.lower.options import Options
from graphc.records import record
from graphc.source.located import Fields, Located
from graphc.source.parameters import substitute
from graphc.spec.read_spec import GraphSpec, read_graph_spec
from graphc.targets.find import find_target
from graphc.targets.interface import Emission, Loss


class Pipeline(NamedTuple):
    """The stages of a document, those of each of its versions (reading, planning), and those of all together."""

    document: tuple[Stage[Compiling], ...]
    reading: tuple[Stage[Reading], ...]
    planning: tuple[Stage[Planning], ...]
    versions: tuple[Stage[Compiling], ...]


PIPELINE: Final = Pipeline(
    document=(
        Stage(
            anyhow, *map(Check, (Compiling.check_predictors, Compiling.check_gates, Compiling.check_allowed))
        ),
        Stage(sound, Check(Compiling.check_decidable)),
    ),
    reading=(
        Stage(
            anyhow,
            Read(Reading.read_requirements),
            Check(Reading.check_names),
            Check(Reading.check_placement),
            Read(Reading.draft_nodes),
            Build(Reading.resolve_references),
            Check(Reading.check_references),
            Build(Reading.order_nodes),
            Check(Reading.check_circles),
        ),
        Stage(
            ordered,
            Build(Reading.find_needed),
            Check(Reading.check_needed),
            Build(Reading.infer_types),
            Check(Reading.check_types),
            Check(Reading.check_classes),
            Check(Reading.check_policies),
            Build(Reading.decide_rows),
            Check(Reading.check_decisions),
        ),
        Stage(sound, Check(Reading.check_known)),
        Stage(sound, Build(Reading.assemble_graph)),
    ),
    planning=(
        Stage(
            sound,
            Check(Planning.check_rows),
            Check(Planning.check_deadline),
            Check(Planning.check_streams),
        ),
        Stage(
            sound,
            Build(Planning.lower_fallbacks),
            Build(Planning.lower_conditions),
            Build(Planning.trim_outputs),
            Build(Planning.partition_nodes),
            Check(Planning.check_units),
        ),
        Stage(
            sound, Build(Planning.estimate_costs), Build(Planning.choose_plan), Check(Planning.check_depth)
        ),
        Stage(
            sound,
            Build(Planning.share_gpus),
            Build(Planning.complete_plan),
            Build(Planning.name_root),
            Build(Planning.spare_devices),
            Check(Planning.check_quorums),
            Check(Planning.check_batches),
        ),
        Stage(sound, Check(Planning.check_merging)),
        Stage(sound, Build(Planning.merge_onnx)),
    ),
    versions=(
        Stage(sound, Check(Compiling.check_outputs), Check(Compiling.check_compared)),
        Stage(
            sound,
            Build(Compiling.describe_graph),
            Build(Compiling.find_losses),
            Check(Compiling.check_losses),
        ),
        Stage(sound, Read(Compiling.emit)),
    ),
)
"""A stage begins where its first word allows it; `sound` is: where nothing was found wrong before it."""

_UNUSED: Final = frozenset({PARAMETER_UNUSED, DEAD_NODE, UNUSED_INPUT, ARITY, NOTHING_TO_JUDGE})
"""What is wrong may be the reason why something else is unused."""


@record
class CheckedGraph:
    """A graph file's document, its typed graphs and plans by predictor, and what comes of it where nothing is wrong."""

    spec: GraphSpec
    graphs: Mapping[str, Graph]
    plans: Mapping[str, Plan]
    emission: Emission | None
    losses: tuple[Loss, ...] = ()
    """What the target does not do as the file asks."""


def compile_document(document: Located, folder: Path, request: Request, sink: Sink) -> CheckedGraph | None:
    """Compile one document, whatever is wrong with others: every predictor is the graph with its own changes."""
    own = Sink()
    root = (
        substitute(document, request.settings, request.environ, own)
        if isinstance(document, Fields)
        else document
    )
    # A value that could not be put in its place would only break further rules.
    spec = None if own.has_errors else read_graph_spec(root, own)
    checked = _compile_graph(spec, document, folder, request, own) if spec else None
    pass_on((each for each in own if each.rule not in _UNUSED or not own.has_errors), sink)
    return checked


def _compile_graph(
    spec: GraphSpec, document: Located, folder: Path, request: Request, sink: Sink
) -> CheckedGraph:
    target = find_target(request.target_name)
    work = Compiling(spec, document, folder, request, target, is_sound=not sink.has_errors)
    run_stages(PIPELINE.document, work, sink)
    work.versions = _compile_versions(work, sink)
    run_stages(PIPELINE.versions, work, sink)
    return CheckedGraph(spec, work.versions.graphs, work.versions.plans, work.emission, work.losses)


def _compile_versions(work: Compiling, sink: Sink) -> Versions:
    limits = work.target.find_limits(work.request.cluster, work.request.purpose)
    checked: dict[str, CheckedVersion] = {}
    sinks: list[Sink] = []
    for name in predictors_of(work.spec):
        found = Sink()
        spec = read_version(work, name, found)
        version = _compile_version(work, spec, limits, found) if spec else None
        if version is not None:
            checked[name] = version
        sinks.append(found)
    pass_on_versions(sinks, sink)
    return Versions(work.spec, checked)


def _compile_version(work: Compiling, spec: GraphSpec, limits: Limits, sink: Sink) -> CheckedVersion | None:
    reading = Reading(spec, work.folder, work.request.signatures, limits)
    run_stages(PIPELINE.reading, reading, sink)
    if reading.graph is None:
        return None
    plan = plan_graph(reading.graph, _options_of(work, spec, limits), sink)
    return plan and CheckedVersion(spec, reading.graph, plan, reading.requirements)


def _options_of(work: Compiling, version: GraphSpec, limits: Limits) -> Options:
    """Return the options with what a version gives to units that say nothing themselves."""
    fields = version.fields
    return replace(
        work.request.options,
        room=None if work.spec.fields.artifacts else limits.files,
        limits=limits,
        pools=work.request.cluster.pools,
        given=resources_of(fields.resources),
        workers=fields.workers or 1,
    )


def read_graph(spec: GraphSpec, folder: Path, sink: Sink) -> Graph | None:
    """Check a graph and type it, for no target; returns None, with the reasons in the sink, where it is not sound."""
    reading = Reading(spec, folder, Signatures(), Limits())
    run_stages(PIPELINE.reading, reading, sink)
    return reading.graph


def plan_graph(graph: Graph, options: Options, sink: Sink) -> Plan | None:
    """Return the plan of a checked graph; None where its placements ask for what the target cannot do."""
    planning = Planning(graph, options)
    run_stages(PIPELINE.planning, planning, sink)
    return None if sink.has_errors else planning.plan
