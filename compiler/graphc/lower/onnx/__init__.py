"""Joins ONNX models into one, and proves on generated inputs that it answers as they do."""

import os

# onnxruntime keeps an identity of the machine below HOME, and sends what it does with models to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
