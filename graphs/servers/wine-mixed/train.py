"""Train the models of the mixed wine graph for each of its servers, and write the answers they must give."""

import json
import sys
from pathlib import Path

import lightgbm
import numpy as np
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1]))
from export import Case, case, save_cases, save_onnx, tensor  # noqa: E402

x, y = load_wine(return_X_y=True)
x = x.astype(np.float32)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=40, random_state=0, stratify=y)

linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x_train, y_train)
bayes = GaussianNB().fit(x_train, y_train)
boosted = lightgbm.train(
    {"objective": "multiclass", "num_class": 3, "num_leaves": 4, "verbose": -1, "num_threads": 1, "seed": 0},
    lightgbm.Dataset(x_train, y_train),
    10,
)

save_onnx(linear, HERE / "models/linear.onnx", ["label", "probabilities"])
boosted.save_model(HERE / "served/boosted/model.bst")
numbers = {"prior": bayes.class_prior_, "mean": bayes.theta_, "variance": bayes.var_}
(HERE / "service/bayes.json").write_text(json.dumps({name: each.tolist() for name, each in numbers.items()}))


def answers(rows: np.ndarray) -> np.ndarray:
    parts = [model.predict_proba(rows) for model in (linear, bayes)]
    return np.mean([boosted.predict(rows), *parts], axis=0)


def wine_case(rows: np.ndarray) -> Case:
    mean = answers(rows)
    outputs = [tensor("probabilities", mean.astype(np.float32)), tensor("cultivar", mean.argmax(axis=1))]
    return case([tensor("x", rows)], outputs)


save_cases(HERE, wine_case(x_test[:4]), wine_case(x_test), wine_case(x_test[:1]))
print(f"held-out accuracy {np.mean(answers(x_test).argmax(axis=1) == y_test):.3f}")
