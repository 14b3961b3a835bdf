"""A class as users write them for Seldon's language wrapper: it tells in its tags what it was given."""

import json

import numpy as np


class UnknownCustomerError(Exception):
    """Has a status that the wrapper does not look at, as there is no handler for it."""

    status_code = 404


class Plain:
    """Answers in the form that the request's tag `form` says."""

    def __init__(self, factor=1, offset=0.0, word="none", loud=False):
        self.factor, self.offset, self.word, self.loud = factor, offset, word, loud
        self.seen, self.size = {}, 0
        self.ready = False

    def load(self):
        self.ready = True

    def predict(self, X, names, meta=None):
        return self.answer(X, names, meta)

    def transform_input(self, X, names, meta=None):
        return self.answer(X, names, meta)

    def transform_output(self, X, names):
        return self.answer(X, names, None)

    def route(self, features, feature_names):
        self.see(features, feature_names, None)
        return int(np.asarray(features).sum() > 0)

    def aggregate(self, features_list, feature_names_list):
        self.seen = {"count": len(features_list), "names": [list(each) for each in feature_names_list]}
        self.size = len(features_list)
        return np.concatenate(features_list, axis=1)

    def see(self, X, names, meta):
        self.seen = {"type": type(X).__name__, "names": list(names), "meta": meta, "ready": self.ready}
        if isinstance(X, np.ndarray):
            self.seen |= {"dtype": str(X.dtype), "shape": list(X.shape), "writeable": X.flags.writeable}
        self.size = len(X) if hasattr(X, "__len__") else 1

    def answer(self, X, names, meta):
        self.see(X, names, meta)
        form = ((meta or {}).get("tags") or {}).get("form", "array")
        if form == "fail":
            raise ValueError("a value is no good")
        if form == "unhandled":
            raise UnknownCustomerError("nobody of that name")
        if form == "text":
            return f"{self.word} {X}"
        if form == "bytes":
            return repr(X).encode() + b"\xff"
        if form == "dict":
            rows = X.sum(axis=1)
            return {"total": float(X.sum()), "rows": rows.tolist(), "word": self.word, "few": [1, 2]}
        if form == "json":
            return {"given": X, "deep": {"er": [1, {"a": None}]}}
        made = self.compute(X)
        return made.tolist() if form == "list" else made

    def compute(self, X):
        if X.dtype.kind == "U":
            return np.array([[each.upper() if self.loud else each + self.word for each in row] for row in X])
        if X.dtype.kind == "b":
            return ~X
        return X * self.factor + (self.offset if X.dtype.kind == "f" else 0)

    def class_names(self):
        return ["first", "second"]

    def tags(self):
        return {"seen": json.dumps(self.seen, sort_keys=True), "size": self.size, "share": 0.5, "is_ready": self.ready,
                "deep": {"list": [1, "a", None]}}  # fmt: skip

    def metrics(self):
        return [
            {"type": "COUNTER", "key": "plain_requests", "value": 1},
            {"type": "COUNTER", "key": "plain_rows_total", "value": self.size, "tags": {"word": self.word}},
            {"type": "GAUGE", "key": "plain_size", "value": self.size},
            {"type": "TIMER", "key": "plain_milliseconds", "value": 12.5 * self.size},
        ]
