"""Graphs to start from where there are no models yet."""

from typing import Final

_HEAD: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata:
  name: {name}

"""
TEMPLATES: Final[dict[str, str]] = {
    "components": _HEAD
    + """\
inputs:
  first: "FP32[batch, 3]"  # the scores of two models; put `model: FILE` nodes in their place
  second: "FP32[batch, 3]"

nodes:
  average:
    component: weighted-mean
    in: [first, second]
    parameters: {{weights: [2, 1]}}
  probabilities:
    component: softmax
    in: average
  index:
    component: argmax
    in: probabilities
  label:
    component: label-map
    in: index
    parameters: {{labels: [low, middle, high]}}

outputs:
  label: label
  probabilities: probabilities
""",
    "python": _HEAD
    + """\
inputs:
  x: "FP32[batch, 2]"

nodes:
  features:
    python: "steps:features"  # the function `features` of steps.py
    in: {{x: x}}
    out: {{scaled: "FP32[batch, 2]"}}
  large:
    component: threshold
    in: features.scaled
    parameters: {{at: 0.5}}

outputs:
  scaled: features.scaled
  large: large
""",
    "router": _HEAD
    + """\
inputs:
  age: "FP32[batch]"
  scores: "FP32[batch, 3]"

nodes:
  careful:
    component: softmax
    in: scores
    parameters: {{temperature: 2}}
  usual:
    component: softmax
    in: scores
  chosen:
    router: threshold
    in: age
    branches:
      - {{take: careful, below: 18}}
      - {{take: usual}}

outputs:
  probabilities: chosen
""",
}
FILES: Final[dict[str, dict[str, str]]] = {
    "python": {
        "steps.py": '''\
"""Steps of the graph."""

import numpy as np


def features(x: np.ndarray) -> dict[str, np.ndarray]:
    """Bring each column into the range from 0 to 1; `x` has the rows of a request."""
    return {"scaled": (1 / (1 + np.exp(-x))).astype(np.float32)}
'''
    }
}
README: Final = """\
# {name}

    graphc check graph.yaml          # every problem, at its line
    graphc test graph.yaml           # the cases of cases.json
    graphc run graph.yaml            # serve it here, and print a command that calls it
    graphc explain graph.yaml        # how graphc plans it, and why
    graphc compile graph.yaml | kubectl apply --server-side -f -

`cases.json` holds requests with the answers that are expected. `graphc test --update` writes what is answered now.
"""
