"""The mean of what models say, as a combiner for Seldon's language wrapper."""

import numpy as np


class WineAverage:
    def aggregate(self, features_list, feature_names_list):
        return np.mean(features_list, axis=0)
