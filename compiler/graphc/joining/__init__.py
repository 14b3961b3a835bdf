"""Joins ONNX models into one, and proves on generated inputs that it answers as they do."""
