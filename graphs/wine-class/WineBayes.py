"""Naive Bayes over normal distributions, as a class for Seldon's language wrapper."""

import json
import time

import numpy as np


class WineBayes:
    def __init__(self, floor=0.0):
        self.floor = floor

    def load(self):
        with open("bayes.json") as file:  # noqa: PTH123 - beside this file, as the wrapper starts there
            numbers = json.load(file)
        self.prior, self.mean, self.variance = (
            np.array(numbers[each]) for each in ("prior", "mean", "variance")
        )

    def predict(self, X, names, meta=None):
        start = time.perf_counter()
        gaps = (X[:, None, :] - self.mean) ** 2 / self.variance
        joint = np.log(self.prior) - 0.5 * (np.log(2 * np.pi * self.variance) + gaps).sum(axis=2)
        shares = np.exp(joint - joint.max(axis=1, keepdims=True))
        found = np.maximum(shares / shares.sum(axis=1, keepdims=True), self.floor)
        self.rows, self.sureness = len(found), float(found.max(axis=1).mean())
        self.milliseconds = 1000 * (time.perf_counter() - start)
        return found

    def class_names(self):
        return ["barolo", "grignolino", "barbera"]

    def tags(self):
        return {"model": "naive-bayes", "rows": self.rows}

    def metrics(self):
        return [
            {"type": "COUNTER", "key": "wine_rows", "value": self.rows},
            {"type": "GAUGE", "key": "wine_sureness", "value": self.sureness},
            {"type": "TIMER", "key": "wine_milliseconds", "value": self.milliseconds},
        ]
