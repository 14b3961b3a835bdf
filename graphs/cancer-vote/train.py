"""Train and export the models of the cancer graph, and write the answers they must give."""

import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from export import Case, case, save_cases, save_onnx, tensor, texts  # noqa: E402

x, y = load_breast_cancer(return_X_y=True)
x = x.astype(np.float32)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=60, random_state=0, stratify=y)

linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x_train, y_train)
boosted = XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1, random_state=0).fit(x_train, y_train)
bayes = make_pipeline(StandardScaler(), GaussianNB()).fit(x_train, y_train)

save_onnx(bayes, HERE / "models/bayes.onnx", ["label", "probabilities"])
joblib.dump(linear, HERE / "models/linear.joblib")
boosted.save_model(HERE / "models/boosted.ubj")


def answers(rows: np.ndarray) -> np.ndarray:
    votes = np.stack([model.predict(rows) for model in (linear, boosted, bayes)])
    return (votes.sum(axis=0) >= 2).astype(np.int64)


def cancer_case(rows: np.ndarray) -> Case:
    majority = answers(rows)
    diagnosis = [("malignant", "benign")[vote] for vote in majority]
    return case([tensor("x", rows)], [texts("diagnosis", diagnosis), tensor("vote", majority)])


# The shown rows are some on which the models disagree: only there does a vote do anything.
split = np.flatnonzero(np.ptp([model.predict(x_test) for model in (linear, boosted, bayes)], axis=0))
shown = [*split[:2], *(row for row in range(len(x_test)) if row not in split)][:4]

save_cases(HERE, cancer_case(x_test[shown]), cancer_case(x_test), cancer_case(x_test[:1]))
print(f"held-out accuracy {np.mean(answers(x_test) == y_test):.3f}, not unanimous on {len(split)} rows")
