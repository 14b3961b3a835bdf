"""Puts regions into config maps, until the executor's environment takes what it is told of a predictor."""

from collections.abc import Sequence
from dataclasses import replace

from graphc.seldon.predictor_size import MOST, reckon_predictor
from graphc.targets.pods.lay_out import file_region
from graphc.targets.pods.layout import Layout, Predictor
from graphc.targets.seldon.predictor import emit_told


def fit_executor(layout: Layout) -> Layout:
    """Return the layout with the largest regions in files, as many as have to be; perhaps all are not enough."""
    if not layout.has_walker or not layout.deployable.is_for_cluster:
        return layout
    return replace(layout, predictors=tuple(_fit(layout, each) for each in layout.predictors))


def _fit(layout: Layout, predictor: Predictor) -> Predictor:
    left = sorted((size, each.name) for each in predictor.containers if (size := each.inline_size))
    while (told := _reckon(layout, predictor)) > MOST and left:
        excess, names = told - MOST, list[str]()
        while excess > 0 and left:
            size, name = left.pop()
            excess -= size
            names.append(name)
        predictor = _file(predictor, names)
    return replace(predictor, told=told)


def _reckon(layout: Layout, predictor: Predictor) -> int:
    settings = predictor.version.settings
    return reckon_predictor(settings.name, settings.namespace, emit_told(layout, predictor))


def _file(predictor: Predictor, names: Sequence[str]) -> Predictor:
    filed = {each.name: file_region(each) for each in predictor.containers if each.name in names}
    pods = tuple(
        replace(pod, containers=tuple(filed.get(each.name, each) for each in pod.containers))
        for pod in predictor.pods
    )
    maps = [made for name in names if (made := filed[name].region_map) is not None]
    return replace(predictor, pods=pods, config_maps=(*predictor.config_maps, *maps))
