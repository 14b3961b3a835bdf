"""Train and export the models of the routed diabetes graph, and write the answers they must give."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from export import Case, case, save_cases, save_onnx, tensor  # noqa: E402

BMI = 2  # the column of the body mass index
LIMIT = 28

x, y = load_diabetes(return_X_y=True, scaled=False)
x = x.astype(np.float32)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=60, random_state=0)

# Each model learns the patients that it will be asked about.
low = x_train[:, BMI] < LIMIT
lean = Ridge(1.0).fit(x_train[low], y_train[low])
heavy = GradientBoostingRegressor(n_estimators=60, max_depth=2, random_state=0).fit(
    x_train[~low], y_train[~low]
)
save_onnx(lean, HERE / "models/lean.onnx", ["progression"])
save_onnx(heavy, HERE / "models/heavy.onnx", ["progression"])


def answers(rows: np.ndarray) -> np.ndarray:
    return np.where(rows[:, BMI] < LIMIT, lean.predict(rows), heavy.predict(rows))


def diabetes_case(rows: np.ndarray) -> Case:
    progression = answers(rows).astype(np.float32)
    return case([tensor("x", rows)], [tensor("progression", progression[:, None])])


# One of the rows shown lies on the limit itself, and is the heavier model's.
under, over = x_test[x_test[:, BMI] < LIMIT], x_test[x_test[:, BMI] >= LIMIT]
edge = x[x[:, BMI] == LIMIT][:1]
save_cases(
    HERE,
    diabetes_case(np.concatenate([under[:2], over[:1], edge])),
    diabetes_case(x_test),
    diabetes_case(under),
    diabetes_case(over),
)
print(f"held-out mean absolute error {np.mean(np.abs(answers(x_test) - y_test)):.1f}")
