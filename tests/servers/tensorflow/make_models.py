"""Writes SavedModels, in two versions, with signatures of one output and of several."""

import sys

import tensorflow as tf


class Scorer(tf.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = tf.Variable(float(factor))

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    def score(self, x):
        return {"y": x * self.factor}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 3], tf.float32, name="x"),
            tf.TensorSpec([None], tf.string, name="text"),
            tf.TensorSpec([None], tf.int64, name="wide"),
        ]
    )
    def describe(self, x, text, wide):
        return {
            "total": tf.reduce_sum(x, 1) * self.factor,
            "shouted": tf.strings.upper(text),
            "wide": wide + 1,
            "positive": wide > 0,
        }


for version in (1, 2):
    scorer = Scorer(version + 1)
    signatures = {"serving_default": scorer.score, "describe": scorer.describe}
    tf.saved_model.save(scorer, f"{sys.argv[1]}/scorer/{version}", signatures=signatures)
