"""The graph of cascade-of-three.yaml, built in Python."""

from graphc.builder import Graph

graph = Graph("cascade-of-three")
x = graph.input("x", "FP32[batch, 4]")
small = graph.model("small", "../../../graphs/iris-cascade/models/small.onnx", {"X": x})["probabilities"]
medium = graph.model(
    "medium",
    "s3://bucket/medium.onnx",
    {"X": x},
    out={"probabilities": "FP32[batch, 3]", "margin": "FP32[batch]"},
)
large = graph.model(
    "large",
    "s3://bucket/large.onnx",
    {"X": x},
    out={"probabilities": "FP32[batch, 3]"},
    resources={"cpu": 1, "gpu": 1},
    autoscaling={"max": 4},
)["probabilities"]
answer = graph.cascade(
    "answer",
    [
        {"take": {"p": small}, "until": 0.9},
        {"take": {"p": medium["probabilities"]}, "until": 0.5, "confidence": medium["margin"]},
        {"take": {"p": large}},
    ],
)
whole = graph.cascade("whole", [{"take": small, "until": 0.99}, {"take": large}], per="request")
graph.output(
    probabilities=answer["p"],
    **{"class": graph.component("class", "argmax", answer["p"])},
    whole=whole,
)
