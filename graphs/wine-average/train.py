"""Train and export the models of the wine graph, and write the answers they must give."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from export import Case, case, save_cases, save_onnx, tensor  # noqa: E402

x, y = load_wine(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=45, random_state=0, stratify=y)

scaler = StandardScaler().fit(x_train)
z_train = scaler.transform(x_train)
linear = LogisticRegression(max_iter=1000).fit(z_train, y_train)
network = MLPClassifier((16,), max_iter=3000, random_state=0).fit(z_train, y_train)
# On unscaled rows: a tree's thresholds lie between values as they were measured, and another value may lie
# exactly there. Scaled in float32, such a value would fall on either side.
forest = RandomForestClassifier(30, max_depth=5, random_state=0).fit(x_train, y_train)

save_onnx(scaler, HERE / "models/scale.onnx", ["scaled"])
for name, classifier in {"linear": linear, "network": network, "forest": forest}.items():
    save_onnx(classifier, HERE / f"models/{name}.onnx", ["label", "probabilities"])


def answers(rows: np.ndarray) -> np.ndarray:
    z = scaler.transform(rows)
    return np.mean([linear.predict_proba(z), network.predict_proba(z), forest.predict_proba(rows)], axis=0)


def wine_case(rows: np.ndarray) -> Case:
    mean = answers(rows)
    return case(
        [tensor("x", rows.astype(np.float32))],
        [tensor("probabilities", mean.astype(np.float32)), tensor("cultivar", mean.argmax(axis=1))],
    )


save_cases(HERE, wine_case(x_test[:4]), wine_case(x_test), wine_case(x_test[:1]))
print(f"held-out accuracy {np.mean(answers(x_test).argmax(axis=1) == y_test):.3f}")
