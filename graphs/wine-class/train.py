"""Train the models of the wine graph of classes, and write the answers they must give."""

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from export import Case, case, save_cases, save_onnx, tensor  # noqa: E402

x, y = load_wine(return_X_y=True)
x = x.astype(np.float32)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=40, random_state=0, stratify=y)

linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x_train, y_train)
bayes = GaussianNB().fit(x_train, y_train)

save_onnx(linear, HERE / "models/linear.onnx", ["label", "probabilities"])
numbers = {"prior": bayes.class_prior_, "mean": bayes.theta_, "variance": bayes.var_}
(HERE / "bayes.json").write_text(json.dumps({name: each.tolist() for name, each in numbers.items()}))


def answers(rows: np.ndarray) -> np.ndarray:
    return np.mean([model.predict_proba(rows) for model in (linear, bayes)], axis=0)


def wine_case(rows: np.ndarray) -> Case:
    mean = answers(rows)
    outputs = [tensor("probabilities", mean.astype(np.float32)), tensor("cultivar", mean.argmax(axis=1))]
    return case([tensor("x", rows)], outputs)


save_cases(HERE, wine_case(x_test[:4]), wine_case(x_test), wine_case(x_test[:1]))
print(f"held-out accuracy {np.mean(answers(x_test).argmax(axis=1) == y_test):.3f}")
