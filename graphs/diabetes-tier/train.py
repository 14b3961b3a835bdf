"""Train and export the models of the tiered diabetes graph, and write the answers they must give."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from export import Case, case, save_cases, save_onnx, tensor  # noqa: E402

x, y = load_diabetes(return_X_y=True, scaled=False)
x = x.astype(np.float32)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=40, random_state=0)

quick = Ridge(1.0).fit(x_train, y_train)
thorough = RandomForestRegressor(50, max_depth=5, min_samples_leaf=5, random_state=0).fit(x_train, y_train)
save_onnx(quick, HERE / "models/quick.onnx", ["progression"])
save_onnx(thorough, HERE / "models/thorough.onnx", ["progression"])


def tier_case(rows: np.ndarray, tier: str | None) -> Case:
    progression = (thorough if tier == "gold" else quick).predict(rows).astype(np.float32)
    outputs = [tensor("progression", progression[:, None])]
    return case([tensor("x", rows)], outputs, {"tier": tier} if tier else None)


save_cases(
    HERE, tier_case(x_test[:3], "gold"), *(tier_case(x_test, tier) for tier in ("gold", "silver", None))
)
for model in (quick, thorough):
    error = np.mean(np.abs(model.predict(x_test) - y_test))
    print(f"{type(model).__name__}: held-out mean absolute error {error:.1f}")
