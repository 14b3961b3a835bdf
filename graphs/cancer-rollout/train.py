"""Train and export the models of the versions of the breast cancer graph, and write the answers they must give."""

import sys
from pathlib import Path

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from export import Case, case, save_cases, save_onnx, tensor, texts  # noqa: E402

x, y = load_breast_cancer(return_X_y=True)
x = x.astype(np.float32)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=120, random_state=0, stratify=y)

linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(x_train[:300], y_train[:300])
refit = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(x_train, y_train)
forest = RandomForestClassifier(40, max_depth=5, random_state=0).fit(x_train, y_train)
MODELS = {"main": linear, "canary": refit, "forest": forest}
for name, model in (("linear", linear), ("refit", refit), ("forest", forest)):
    save_onnx(model, HERE / f"models/{name}.onnx", ["label", "probabilities"])


def cancer_case(rows: np.ndarray, predictor: str | None = None) -> Case:
    model: ClassifierMixin = MODELS[predictor or "main"]
    probabilities = model.predict_proba(rows).astype(np.float32)
    diagnoses = [("malignant", "benign")[index] for index in probabilities.argmax(axis=1)]
    answer = case(
        [tensor("x", rows)], [texts("diagnosis", diagnoses), tensor("probabilities", probabilities)]
    )
    return answer | ({"predictor": predictor} if predictor else {})


save_cases(
    HERE,
    cancer_case(x_test[:3]),
    *(cancer_case(x_test, predictor) for predictor in (None, "canary", "forest")),
    *(cancer_case(x_test[3:4], predictor) for predictor in (None, "canary", "forest")),
)
for name, model in MODELS.items():
    agreement = np.mean(model.predict(x_test) == linear.predict(x_test))
    print(f"{name}: held-out accuracy {model.score(x_test, y_test):.3f}, agrees with main on {agreement:.3f}")
