"""How far a Deployment's status says that its new pods are."""

import pytest
from graphc.cluster.workload_status import count_ready


@pytest.mark.parametrize(
    ("total", "updated", "available", "ready"),
    [
        (1, 1, 1, 1),
        (2, 1, 1, 0),  # an old one serves, the new one does not yet
        (2, 1, 2, 1),
        (4, 2, 3, 1),
        (3, 3, 2, 2),
        (3, 0, 3, 0),
        (0, 0, 0, 0),
        (0, 2, 1, 1),  # no status that a controller writes: no more are ready than are there
    ],
)
def test_old_pods_that_serve_are_not_counted_as_new_ones(
    total: int, updated: int, available: int, ready: int
) -> None:
    status = {"replicas": total, "updatedReplicas": updated, "availableReplicas": available}
    assert count_ready({"status": {**status}}) == ready


def test_a_deployment_without_a_status_has_none_ready() -> None:
    assert count_ready({}) == 0
