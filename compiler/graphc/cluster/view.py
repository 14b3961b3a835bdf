"""Shows a graph's documents as its author knows it: predictors, nodes, models, and what is left over.

Nothing of the document is lost on the way: two documents that differ have views that differ. Of the hashes in the
names of pushed files ten digits are shown, as in the names of config maps.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from graphc.cluster.bundle import SIGNATURE, strip
from graphc.cluster.share_moves import read_shares
from graphc.diagnostics.printable import conceal as conceal_uris
from graphc.engine_graph import FILE, VOLUME
from graphc.ir.graph import Value
from graphc.rollout.shares import ALL, ANNOTATION
from graphc.seldon.deployment import Container, Pod, Predictor, deployment_of
from graphc.seldon.documents import KIND
from graphc.seldon.node import node_of
from graphc.seldon.unit import SeldonUnit
from graphc.targets.storing import find_content
from graphc.unchecked import Data, copy_fields, fields, items, objects, parse, text
from graphc.workloads import KIND as WORKLOAD
from graphc.workloads import is_workload, list_workloads

MOST_REGION: Final = 64 * 1024 * 1024
FETCH: Final = "graphc_runtimes.fetch"

FindMap = Callable[[str], Mapping[str, Value] | None]
"""Finds a config map by its name: a large region is in one."""


def view_document(document: Mapping[str, Value], find_map: FindMap) -> Data:
    """Return the view of any document; that of what serves is by predictor, node and unit."""
    whole = strip(document)
    annotations = fields(whole, "metadata", "annotations")
    # It changes with every other change, and says nothing of its own.
    annotations.pop(SIGNATURE, None)
    if text(whole, "kind") == "ConfigMap":
        return _view_map(whole)
    if text(whole, "kind") == WORKLOAD and is_workload(node_of(whole)):
        return _view_workload(whole, find_map)
    if text(whole, "kind") != KIND:
        return whole
    predictors: Data = {}
    for index, each in enumerate(deployment_of(whole).predictors):
        key = (
            each.name if each.name and each.name not in predictors else f"{each.name or 'predictor'} #{index}"
        )
        predictors[key] = _Taking(each, find_map).view() if each.node.is_mapping else each.node.plain
    fields(whole, "spec").pop("predictors", None)
    return {"predictors": predictors, "order": list[Value](predictors), "rest": whole}


def view_workloads(documents: Sequence[Mapping[str, Value]], find_map: FindMap) -> Data:
    """Return the view of a graph that consists of Deployments: by predictor, node and unit, of all together."""
    predictors: Data = {}
    for each in documents:
        for name, own in fields(view_document(each, find_map), "predictors").items():
            known, more = fields(predictors, name), fields(own)
            joined: Data = {
                part: {**fields(known, part), **fields(more, part)} for part in ("nodes", "units")
            }
            predictors[name] = {**more, **known, **joined}
    return {"predictors": predictors, "order": list[Value](predictors)}


def _view_workload(whole: Data, find_map: FindMap) -> Data:
    """Show a Deployment of a version as that version's predictor; shares are its own alone, as others tell theirs."""
    (workload,) = list_workloads([node_of(whole)])
    spec = fields(whole, "spec")
    template = copy_fields(fields(spec.pop("template", None)))
    engine = _open_engine(template, find_map)
    predictor: Data = {
        "name": workload.version,
        "graph": engine.pop("graph", None),
        "componentSpecs": [template],
    }
    read = deployment_of({"spec": {"predictors": [predictor]}}).predictors[0]
    view: Data = {}
    if workload.is_entry:
        view |= _view_share(fields(whole, "metadata", "annotations"), workload.version)
    taken = _Taking(read, find_map).view()
    view |= taken | ({"engine": engine} if engine else {})
    if "replicas" in spec:
        first = next((text(each, "name") for each in objects(template, "spec", "containers")), "")
        place = view if workload.is_entry else fields(view, "units", first)
        place["replicas"] = spec.pop("replicas")
    return {"predictors": {workload.version: view}, "rest": whole}


def _view_share(annotations: Data, version: str) -> Data:
    """Take the shares out of annotations where they say no more than shares, and return a version's own."""
    written = annotations.get(ANNOTATION)
    if written is None:
        # It is alone.
        return {"traffic": ALL}
    shares, mirrors = read_shares(text(annotations, ANNOTATION))
    if isinstance(written, str) and _is_plain(written):
        del annotations[ANNOTATION]
    if version in mirrors:
        return {"shadow": True, "traffic": mirrors[version]}
    return {"traffic": shares[version]} if version in shares else {}


def _is_plain(written: str) -> bool:
    """Say whether an annotation holds shares of all requests and shadows alone."""
    found = _parse(written) or {}
    ways = list(objects(found, "ways"))
    return found.keys() <= {"ways", "mirrors"} and len(ways) == 1 and ways[0].keys() == {"shares"}


def _open_engine(template: Data, find_map: FindMap) -> Data:
    """Take what graphc's engine is told out of a pod's volumes; nothing where there is none, or it cannot be read."""
    for volume in objects(template, "spec", "volumes"):
        if text(volume, "name") == VOLUME:
            found = find_map(text(volume, "configMap", "name"))
            told = _parse(text(found, "data", FILE)) if found else None
            if told is not None:
                del fields(volume, "configMap")["name"]
                return {
                    key: value for key, value in told.items() if key not in {"apiVersion", "kind", "name"}
                }
    return {}


def _view_map(document: Data) -> Data:
    """Show a config map by its keys with their sizes and digests: a model's bytes tell a reader nothing."""
    view = dict(document)
    for part in ("data", "binaryData"):
        if part in view:
            view[part] = {key: _summarize(each) for key, each in fields(view, part).items()}
    return view


def _summarize(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    return f"{len(value):,} characters, checksum {zlib.crc32(value.encode('utf-8', 'replace')):08x}"


class _Taking:
    """Takes one predictor apart; what is understood is taken out, and the rest stays where it was."""

    def __init__(self, predictor: Predictor, find_map: FindMap) -> None:
        self._predictor = predictor
        self._rest = fields(predictor.node.plain)
        self._find_map = find_map
        self._units: Data = {}
        self._nodes: Data = {}
        self._types: Data = {}

    def view(self) -> Data:
        if isinstance(self._rest.pop("graph", None), dict):
            self._walk(self._predictor.graph)
        if isinstance(self._rest.get("componentSpecs"), list):
            self._rest["componentSpecs"] = list[Value](map(self._open_pod, self._predictor.pods))
        view: Data = {
            name: self._rest.pop(name) for name in ("traffic", "shadow", "replicas") if name in self._rest
        }
        self._rest.pop("name", None)
        return {**view, "nodes": self._nodes, "units": self._units, **self._types, "rest": self._rest}

    def _walk(self, unit: SeldonUnit) -> str:
        said = fields(unit.node.plain)
        children = said.get("children")
        if isinstance(children, list) and all(each.node.is_mapping for each in unit.children):
            children = list[Value](map(self._walk, unit.children))
        rest = {key: value for key, value in said.items() if key not in {"name", "children"}}
        key = (
            unit.name
            if unit.name and unit.name not in self._units
            else f"{unit.name or 'unit'} #{len(self._units)}"
        )
        self._units[key] = {**rest, "children": [] if children is None else children}
        return unit.name

    def _open_pod(self, pod: Pod) -> Value:
        whole = pod.node.plain
        said = fields(whole, "spec")
        volumes = {name: fields(each.plain) for name, each in pod.volumes.items()}
        loaders = {each.name: fields(each.node.plain) for each in pod.init_containers}
        for container in pod.containers:
            self._open_container(container, volumes, loaders)
        if pod.containers:
            said["containers"] = [each.name for each in pod.containers]
        for part, left in (("volumes", volumes), ("initContainers", loaders)):
            if part in said:
                said[part] = list[Value](left.values())
        return whole

    def _open_container(self, opened: Container, volumes: dict[str, Data], loaders: dict[str, Data]) -> None:
        name, container = opened.name, fields(opened.node.plain)
        container.pop("name", None)
        environment = _by_name(container.get("env"))
        if environment is not None:
            container["env"] = environment
            region = self._region(name, environment, volumes)
            if region is not None:
                self._open_region(name, region, volumes, loaders)
                container["region"] = {
                    key: value for key, value in region.items() if key not in {"graph", "nodes", "unit"}
                }
        unit = fields(self._units, name)
        self._units[name] = {**unit, **_merge_free(unit, container)}

    def _region(self, unit: str, environment: Data, volumes: dict[str, Data]) -> Data | None:
        written = text(environment, "GRAPHC_REGION", "value")
        if written:
            region = _parse(written.replace("$$", "$"))
            if region is not None:
                del environment["GRAPHC_REGION"]
            return region
        volume = volumes.get(f"region-{unit}")
        found = self._find_map(text(volume, "configMap", "name")) if volume else None
        return _unpack(text(found, "binaryData", "region")) if found else None

    def _open_region(
        self, unit: str, region: Data, volumes: dict[str, Data], loaders: dict[str, Data]
    ) -> None:
        for side in ("inputs", "outputs"):
            types: Data = {text(each, "name"): _type(each) for each in objects(region, "graph", side)}
            self._types.setdefault(side, types)
        others = {
            key: value for key, value in fields(region, "graph").items() if key not in {"inputs", "outputs"}
        }
        self._types.setdefault("graph", others)
        for node in objects(region, "nodes"):
            name, kind = text(node, "name"), text(node, "kind")
            key = name if name not in self._nodes else f"{name} ({kind})"
            while key in self._nodes:
                key += "'"
            view: Data = {each: value for each, value in node.items() if each != "name"}
            view["unit"] = unit
            view |= _origin(name, volumes, loaders)
            self._nodes[key] = _join_model(view)


def _join_model(view: Data) -> Data:
    """Say on one line which model a node runs: its file and the hash of its content, or where it is from."""
    if text(view, "kind") != "model" or not text(view, "path"):
        return view
    file = text(view, "path").rpartition("/")[2]
    source = text(view, "from") or text(view, "content")
    if view.get("files") == [file]:
        view.pop("files")
    tail = source.rpartition("-")[2] if "content" in view else source
    rest = {key: value for key, value in view.items() if key not in {"path", "content", "from"}}
    return {"model": f"{file} ({tail})" if tail else file, **rest}


def _origin(node: str, volumes: dict[str, Data], loaders: dict[str, Data]) -> Data:
    """Return where a node's files come from: a config map with its content's hash, a URI, or a claim."""
    origin: Data = {}
    volume = volumes.pop(f"graphc-{node}", None)
    if volume is not None:
        source = {key: value for key, value in volume.items() if key not in {"name", "emptyDir"}}
        held = fields(source, "configMap")
        if text(held, "name"):
            origin["content"] = text(held, "name")
            pairs = [(text(each, "key"), text(each, "path")) for each in objects(held, "items")]
            left = {"name", "defaultMode"}
            if pairs and len(pairs) == len(items(held, "items")) and all(key == path for key, path in pairs):
                origin["files"] = [path for _, path in pairs]
                left.add("items")
            source["configMap"] = {key: value for key, value in held.items() if key not in left}
        if source:
            origin["volume"] = source
        if "emptyDir" in volume and volume["emptyDir"] != {}:
            origin["emptyDir"] = volume["emptyDir"]
    loader = loaders.get(f"load-{node}")
    command = items(loader, "command")
    if loader is not None and FETCH in command and len(command) >= 5:
        del loaders[f"load-{node}"]
        uri, after = command[3], command[5:]
        others: list[Value] = [*command[:3], command[4]]
        # What was pushed is named by its content: the name says what the hash of a single file does.
        if isinstance(uri, str) and (stored := find_content(uri)) is not None:
            origin["content"] = stored[1][:10]
            others += [stored[0], *(each for each in after if each != stored[1])]
        else:
            origin["from"] = uri
            others += after
        rest: Data = {key: value for key, value in loader.items() if key != "name"}
        origin["loader"] = {**rest, "command": others}
    return origin


def _by_name(value: Value) -> Data | None:
    """Return a list of named things as a mapping; None where a name is missing or comes twice."""
    if not isinstance(value, list):
        return None
    named = (
        {text(each, "name"): each for each in objects(value)}
        if all(isinstance(it, dict) for it in value)
        else {}
    )
    if len(named) != len(value) or "" in named:
        return None
    return {name: {key: it for key, it in each.items() if key != "name"} for name, each in named.items()}


def _merge_free(unit: Data, container: Data) -> Data:
    """Return a container's fields, under other names where the unit has some of the same name."""
    return {(f"container.{key}" if key in unit else key): value for key, value in container.items()}


def _type(tensor: Data) -> str:
    """Return a tensor's type as a graph file writes it."""
    shape = ", ".join("?" if each is None else str(each) for each in items(tensor, "shape"))
    return f"{text(tensor, 'datatype')}[{shape}]"


def _parse(written: str) -> Data | None:
    try:
        found = parse(written)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType]


def _unpack(packed: str) -> Data | None:
    try:
        opened = zlib.decompressobj()
        written = opened.decompress(base64.b64decode(packed, validate=True), MOST_REGION)
        return _parse(written.decode()) if opened.eof else None
    except (ValueError, zlib.error, binascii.Error):
        return None


_SECRET_NAME: Final = re.compile(r"secret|token|passw|credential|api_?key|private", re.IGNORECASE)
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")


def conceal(words: str) -> str:
    """Return a text without what may let someone in: users in URIs, signed queries, bearer tokens."""
    return _BEARER.sub(r"\1 ...", conceal_uris(words))


def is_secret(name: str) -> bool:
    """Say whether a variable of this name may hold something that is not for everyone."""
    return bool(_SECRET_NAME.search(name))
