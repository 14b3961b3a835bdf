from seldon_core.user_model import SeldonComponent


class Model:
    def __init__(self, path, threshold=0.5):
        self.path = path

    def predict(self, X, names, meta=None):
        return X


class Judge:
    """Has one method as the wrapper calls it, and one otherwise."""

    def aggregate(self, Xs, names):
        return Xs[0]

    def route(self, X):
        return 0


class Inheriting(SeldonComponent):
    def transform_input(self, X, names, *, meta):
        return X


class Raw:
    def predict_raw(self):
        return {}


def function(X, names):
    return X
