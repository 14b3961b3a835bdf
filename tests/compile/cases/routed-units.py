"""The graph of routed-units.yaml, built in Python."""

from graphc.builder import Graph

graph = Graph("routed-units")
x = graph.input("x", "FP32[batch, 10]")
lean = graph.model("lean", "../../../graphs/diabetes-route/models/lean.onnx", {"X": x}, replicas=2)
doubled = graph.component("doubled", "scale", lean, parameters={"scale": 0.5})
quick = graph.model("quick", "dense.onnx", {"X": x}, resources={"gpu": 1})
tier = graph.router(
    "tier", "parameter", [{"equals": "gold", "take": doubled}, {"take": quick}], parameter="tier"
)
clip = graph.component("clip", "clip", tier, parameters={"low": 0})
graph.output(progression=clip)
