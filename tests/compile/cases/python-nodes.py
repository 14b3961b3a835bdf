"""The graph of python-nodes.yaml, built in Python."""

from graphc.builder import Graph

graph = Graph("python-nodes")
x, text = graph.input("x", "FP32[batch, 3]"), graph.input("text", "BYTES[batch]")
total = graph.python("total", "post:total", {"rows": x}, out={"sum": "FP32[batch]", "count": "INT64[batch]"})
loud = graph.python("loud", "post:shout", {"text": text}, out="BYTES[batch]")
model = graph.python("model", "post:Model", {"x": x}, out={"score": "FP32[batch]"}, load_seconds=90)
images = [
    graph.python(
        name, "mine.models:score", {"x": x}, out="FP32[batch]", image=f"registry.example.com/mine:{version}"
    )
    for name, version in [("first", 1), ("second", 2)]
]
mean = graph.component("mean", "mean", [total["sum"], model, *images])
graph.output(mean=mean, loud=loud, count=total["count"])
