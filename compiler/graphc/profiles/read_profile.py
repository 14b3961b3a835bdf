"""Reads a profile: its file or one that comes with graphc, and every field that is not as it should be."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.fields import MISSING_FIELD, NOT_A_CHOICE
from graphc.diagnostics.codes.rollout import NOT_A_PROFILE
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import nearest
from graphc.ir.graph import Resources
from graphc.profiles.fields import (
    INGRESS_KINDS,
    AmbassadorIngress,
    AnyIngress,
    ClusterEngine,
    ClusterProfile,
    GatewayIngress,
    IstioIngress,
)
from graphc.profiles.kinds import KIND, is_profile
from graphc.profiles.profile import Engine, Ingress, Installation, Place, Profile, RuntimeImage, Scaler
from graphc.profiles.read_pools import read_pools
from graphc.source.files import Source, read_source
from graphc.source.located import Fields, Located, locate, to_plain
from graphc.source.yaml_reader import read_documents
from graphc.spec.examine import examine
from graphc.spec.problems import report_problems

SHIPPED: Final = Path(__file__).with_name("shipped")

_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


def shipped_profiles() -> list[str]:
    """Return the names of the profiles that come with graphc."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def find_profile(name: str, sink: Sink) -> Source | None:
    """Return the text of a profile, by the name of a shipped one or by its path; None where there is none."""
    if not _NAME.match(name) or Path(name).is_file():
        return read_source(name, sink)
    if name in shipped_profiles():
        return read_source(str(SHIPPED / f"{name}.yaml"), sink)
    close = nearest(name, shipped_profiles())
    listed = "graphc comes with " + ", ".join(f"`{each}`" for each in shipped_profiles())
    message = f"{quoted(name)} is neither a file nor a profile that comes with graphc"
    sink.report(Diagnostic(NOT_A_PROFILE, message, help=f"did you mean `{close}`?" if close else listed))
    return None


def read_profile(source: Source, sink: Sink) -> Profile | None:
    """Read the one profile of a file; None, with the reasons in the sink, where it is none."""
    documents = list(read_documents(source.text, source.file, sink))
    if sink.has_errors:
        return None
    if len(documents) != 1 or not is_profile(documents[0]):
        at = documents[0].span if documents else Span(source.file, 1, 1, 1, 1)
        message = f"{quoted(source.file)} does not hold one document of kind `{KIND}`"
        sink.report(Diagnostic(NOT_A_PROFILE, message, at))
        return None
    return read_profile_document(documents[0], sink)


def read_profile_document(document: Located, sink: Sink) -> Profile | None:
    """Read a profile's document; None, with the reasons in the sink, where something is wrong."""
    if not isinstance(document, Fields):
        return None
    fields = _validate(document, sink)
    ingress = _read_ingress(document, sink)
    pools = None if fields is None or fields.pools is None else read_pools(fields.pools, document, sink)
    if fields is None or ingress is None or sink.has_errors:
        return None
    runtime = fields.runtime
    image = RuntimeImage(runtime.registry, runtime.image, runtime.tag, runtime.digest, runtime.pull_secret)
    refuses = fields.pod_security == "restricted" and not fields.executor_policy
    said = fields.autoscaling
    scaler = Scaler(said.kind, said.adapter, said.prometheus)
    installation = Installation(fields.seldon, tuple(fields.servers))
    at = None if fields.target is None else locate(document, ("target",))
    engine = _read_engine(fields.engine, runtime.registry)
    return Profile(
        fields.metadata.name, ingress, image, pools, refuses, scaler, installation, fields.target, at, engine
    )


def _read_engine(said: ClusterEngine, registry: str | None) -> Engine:
    default = Engine()
    image = RuntimeImage(registry, said.image, said.tag, said.digest)
    requests = Resources(said.cpu or default.requests.cpu, said.memory or default.requests.memory)
    return Engine(image, tuple(said.command), requests, said.memory)


def _validate(document: Fields, sink: Sink) -> ClusterProfile | None:
    found = examine(ClusterProfile, to_plain(document))
    if isinstance(found, ClusterProfile):
        return found
    report_problems(found, ClusterProfile, document, (), "a profile", sink)
    return None


def _read_ingress(document: Fields, sink: Sink) -> Ingress | None:
    entry = document.find("ingress")
    if entry is None:
        return Ingress()
    if not isinstance(entry.value, Fields):
        return None  # said already
    kind = entry.value.find("kind")
    model = INGRESS_KINDS.get(str(to_plain(kind.value))) if kind else None
    if model is None:
        sink.report(_no_kind(document, None if kind is None else str(to_plain(kind.value))))
        return None
    found: AnyIngress | ValidationError = examine(model, to_plain(entry.value))
    if not isinstance(found, ValidationError):
        return _ingress_of(found)
    report_problems(found, model, document, ("ingress",), f"a {kind and to_plain(kind.value)} ingress", sink)
    return None


def _no_kind(document: Fields, found: str | None) -> Diagnostic:
    listed = "it takes " + ", ".join(f"`{kind}`" for kind in INGRESS_KINDS)
    if found is None:
        at = locate(document, ("ingress",), key=True)
        return Diagnostic(MISSING_FIELD, "`ingress` has no `kind`", at, listed)
    close = nearest(found, INGRESS_KINDS)
    at = locate(document, ("ingress", "kind"))
    return Diagnostic(
        NOT_A_CHOICE, f"`kind` cannot be `{found}`", at, f"did you mean `{close}`?" if close else listed
    )


def _ingress_of(spec: AnyIngress) -> Ingress:
    match spec:
        case IstioIngress():
            place = _place(spec.gateway)
            return Ingress("istio", place, host=spec.host, path=spec.path, annotations=_of_istio(spec))
        case AmbassadorIngress():
            own = {"seldon.io/ambassador-id": spec.id} if spec.id is not None else {}
            return Ingress("ambassador", annotations=own)
        case GatewayIngress():
            return Ingress(
                "gateway", _place(spec.gateway), spec.listener, spec.host, spec.grpc_host, spec.path
            )
        case _:
            return Ingress()


def _of_istio(spec: IstioIngress) -> Mapping[str, str]:
    host = {} if spec.host is None else {"seldon.io/istio-host": spec.host}
    return {"seldon.io/istio-gateway": spec.gateway} | host


def _place(text: str) -> Place:
    namespace, _, name = text.partition("/")
    return Place(namespace, name)
