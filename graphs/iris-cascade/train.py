"""Train and export the models of the iris graph, and write the answers they must give."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from export import Case, case, save_cases, save_onnx, tensor, texts  # noqa: E402

CONFIDENT = 0.9

x, y = load_iris(return_X_y=True)
x = x.astype(np.float32)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=50, random_state=1, stratify=y)

small = DecisionTreeClassifier(max_depth=2, min_samples_leaf=8, random_state=0).fit(x_train, y_train)
large = RandomForestClassifier(100, random_state=0).fit(x_train, y_train)
save_onnx(small, HERE / "models/small.onnx", ["label", "probabilities"])
save_onnx(large, HERE / "models/large.onnx", ["label", "probabilities"])

confident = small.predict_proba(x_test).max(axis=1) >= CONFIDENT


def answers(rows: np.ndarray) -> np.ndarray:
    quick = small.predict_proba(rows)
    return np.where(quick.max(axis=1, keepdims=True) >= CONFIDENT, quick, large.predict_proba(rows))


def iris_case(rows: np.ndarray) -> Case:
    probabilities = answers(rows)
    species = [("setosa", "versicolor", "virginica")[index] for index in probabilities.argmax(axis=1)]
    return case(
        [tensor("x", rows)],
        [texts("species", species), tensor("probabilities", probabilities.astype(np.float32))],
    )


save_cases(
    HERE,
    iris_case(np.concatenate([x_test[confident][:3], x_test[~confident][:2]])),
    iris_case(x_test),
    iris_case(x_test[confident]),
    iris_case(x_test[~confident]),
)
print(f"held-out accuracy {np.mean(answers(x_test).argmax(axis=1) == y_test):.3f}")
print(f"{np.sum(~confident)} of {len(x_test)} rows go on to the large model")
