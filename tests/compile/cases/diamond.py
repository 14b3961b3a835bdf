"""The graph of diamond.yaml, built in Python."""

from graphc.builder import Graph

graph = Graph("diamond")
x = graph.input("x", "FP32[batch, 10]")
bounded = graph.component("bounded", "clip", x, parameters={"low": -1, "high": 1})
models = [
    graph.model(
        name,
        f"../../../graphs/{folder}/models/{name}.onnx",
        {"X": bounded},
        replicas=replicas,
    )
    for name, folder, replicas in [("lean", "diabetes-route", 2), ("quick", "diabetes-tier", 3)]
]
mean = graph.component("mean", "mean", models)
scaled = graph.component("scaled", "scale", mean, parameters={"mean": 150, "scale": 10})
rounded = graph.component("rounded", "cast", bounded, parameters={"datatype": "INT32"}, unit="after")
graph.output(progression=scaled, mean=mean, rounded=rounded)
