"""The graph of predictors.yaml, built in Python."""

from graphc.builder import Graph

QUICK = "../../../graphs/diabetes-tier/models/quick.onnx"

graph = Graph(
    "predictors",
    predictors={
        "main": {"traffic": 75, "replicas": 3},
        "canary": {
            "traffic": 25,
            "nodes": {
                "lean": {"model": QUICK, "env": {"LEVEL": "2"}, "resources": {"cpu": 1}},
                "blend": {"component": "weighted-mean", "parameters": {"weights": [2, 1]}},
            },
        },
        "ghost": {"shadow": True, "nodes": {"blend": {"in": ["quick", "lean"], "component": "max"}}},
    },
)
x = graph.input("x", "FP32[batch, 10]")
lean = graph.model("lean", "../../../graphs/diabetes-route/models/lean.onnx", {"X": x}, env={"MODE": "fast"})
quick = graph.model("quick", QUICK, {"X": x})
graph.output(progression=graph.component("blend", "mean", [lean, quick]))
