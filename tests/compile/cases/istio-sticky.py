"""The graph of istio-sticky.yaml, built in Python."""

from graphc.builder import Graph

LEAN = "../../../graphs/diabetes-route/models/lean.onnx"

graph = Graph(
    "istio-sticky",
    namespace="models",
    sticky={"header": "X-User"},
    predictors={
        "main": {"traffic": 90, "replicas": 9},
        "canary": {"traffic": 10, "replicas": 1, "nodes": {"quick": {"model": LEAN}}},
    },
)
x = graph.input("x", "FP32[batch, 10]")
quick = graph.model("quick", "../../../graphs/diabetes-tier/models/quick.onnx", {"X": x})
graph.output(progression=quick)
