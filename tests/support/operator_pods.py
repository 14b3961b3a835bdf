"""Makes the pods that Seldon's operator and Kubernetes' controllers make of a SeldonDeployment."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from graphc.unchecked import Data, copy_fields, fields, number, objects, text

EXECUTOR: Final = "seldon-container-engine"
REQUESTS: Final = {"cpu": "500m", "memory": "512Mi"}
"""What the operator asks for its executor, where its installation says nothing else."""
SURGE: Final = 0.25


@dataclass(frozen=True)
class Pods:
    """A Deployment: how many pods it has, those that a rollout adds, and what each is."""

    name: str
    count: int
    surge: int
    spec: Data

    def make(self, namespace: str, *, surging: bool = False) -> Iterator[Data]:
        """Yield the pods, or those of a rollout beside them."""
        first, last = (self.count, self.count + self.surge) if surging else (0, self.count)
        for index in range(first, last):
            metadata: Data = {"name": f"{self.name}-{index}", "namespace": namespace}
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.spec}


def pods_of(deployment: Data) -> Iterator[Pods]:
    """Yield the Deployments of a SeldonDeployment's predictors, autoscalers at their most."""
    for predictor in objects(deployment, "spec", "predictors"):
        annotations = fields(predictor, "annotations")
        for index, spec in enumerate(objects(predictor, "componentSpecs")):
            pod = copy_fields(fields(spec, "spec"))
            if not index and annotations.get("seldon.io/no-engine") != "true":
                resources: Data = {"limits": dict(REQUESTS), "requests": dict(REQUESTS)}
                engine: Data = {"name": EXECUTOR, "image": "executor", "resources": resources}
                pod["containers"] = [*objects(pod, "containers"), engine]
            said = (
                number(spec, "hpaSpec", "maxReplicas"),
                number(spec, "replicas"),
                number(predictor, "replicas"),
                number(deployment, "spec", "replicas"),
                1,
            )
            count = next(each for each in said if each is not None)
            name = f"{text(deployment, 'metadata', 'name')}-{text(predictor, 'name')}-{index}"
            yield Pods(name, count, math.ceil(count * SURGE), pod)
