"""Describes a checked graph to a target: what its file says of the deployment, and its versions."""

from dataclasses import replace

from graphc.compare.gates import ALL, write_annotation
from graphc.compare.settings import write_settings
from graphc.compile.request import Request
from graphc.compile.versions import Versions
from graphc.frontend.assemble import autoscaling_of, calls_of, resources_of
from graphc.frontend.predictors import predictors_of, rollout_of
from graphc.packages.requirements import Requirements
from graphc.profiles.profile import Image, Profile
from graphc.spec.read_spec import GraphSpec
from graphc.targets.interface import Comparing, Deployable, Settings, Version
from graphc.targets.shipping import Store


def describe_graph(versions: Versions, request: Request) -> Deployable:
    """Return what a target is given of a graph in which nothing is wrong."""
    spec, profile = versions.spec, request.cluster
    described = tuple(
        Version(
            name,
            version.plan,
            predictor.replicas,
            autoscaling_of(predictor.autoscaling, spec, "predictors", name),
            _settings(version.spec, profile, version.requirements),
            spec.at("predictors", name, key=True),
            predictor.version,
        )
        for name, predictor in predictors_of(spec).items()
        for version in (versions.each[name],)
    )
    own = _settings(spec, profile, Requirements())
    return Deployable(own, described, rollout_of(spec), profile, request.purpose)


def _comparing(spec: GraphSpec) -> Comparing:
    fields, predictors = spec.fields, predictors_of(spec)
    gates = {ALL: fields.promote_when} | {name: each.promote_when for name, each in predictors.items()}
    url_at = spec.at("compare", "url")
    if fields.compare is None:
        return Comparing(write_annotation(gates), None, None, url_at)
    said = fields.compare
    return Comparing(write_annotation(gates), write_settings(said.sample, said.segment), said.url, url_at)


def _image(spec: GraphSpec, profile: Profile, requirements: Requirements) -> str:
    """Return the image of the units: one with what the graph requires is the graph's own."""
    runtime, cluster = spec.fields.runtime, profile.runtime
    if requirements.each:
        # The cluster's tag and digest are of an image without it.
        cluster = replace(cluster, tag=None, digest=None)
    return cluster.locate(Image(runtime.image, runtime.tag or requirements.tag, runtime.digest))


def _settings(spec: GraphSpec, profile: Profile, requirements: Requirements) -> Settings:
    fields = spec.fields
    runtime, metadata = fields.runtime, fields.metadata
    return Settings(
        name=metadata.name,
        namespace=metadata.namespace,
        labels=metadata.labels,
        annotations=metadata.annotations,
        image=_image(spec, profile, requirements),
        requirements=requirements,
        pull_secret=runtime.pull_secret or profile.runtime.pull_secret,
        resources=resources_of(fields.resources),
        autoscaling=autoscaling_of(fields.autoscaling, spec),
        workers=fields.workers,
        replicas=fields.replicas,
        store=fields.artifacts and Store(fields.artifacts.store, fields.artifacts.credentials),
        service_account=fields.service_account,
        executor=fields.executor,
        comparing=_comparing(spec),
        at=spec.at("metadata", "name"),
        sticky_at=spec.at("sticky", "header"),
        executor_at=spec.at("executor"),
        store_at=spec.at("artifacts"),
        calls_at=calls_of(spec),
    )
