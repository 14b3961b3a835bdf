"""Train LightGBM models of three quantiles on rows with gaps, and write the answers they must give."""

import math
import sys
from pathlib import Path

import lightgbm
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from export import Case, case, save_cases, tensor  # noqa: E402

QUANTILES = {"low": 0.25, "middle": 0.5, "high": 0.75}
SETTINGS = {
    "objective": "quantile",
    "num_leaves": 5,
    "min_data_in_leaf": 10,
    "learning_rate": 0.1,
    "seed": 0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}

x, y = load_diabetes(return_X_y=True, scaled=False)
# Blood is not always taken.
x[np.random.default_rng(0).random(len(x)) < 0.1, 4:] = np.nan
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=60, random_state=0)

models = {
    name: lightgbm.train(SETTINGS | {"alpha": alpha}, lightgbm.Dataset(x_train, y_train), 60)
    for name, alpha in QUANTILES.items()
}
(HERE / "models").mkdir(exist_ok=True)
for name, model in models.items():
    model.save_model(HERE / f"models/{name}.txt")


def predict(rows: np.ndarray) -> np.ndarray:
    return np.sort([model.predict(rows) for model in models.values()], axis=0)


def range_case(rows: np.ndarray) -> Case:
    asked = tensor("x", rows)
    # JSON has no NaN: a missing number is null.
    asked |= {"data": [None if math.isnan(value) else value for value in asked["data"]]}
    return case(
        [asked],
        [
            tensor(name, values)
            for name, values in zip(("least", "usual", "most"), predict(rows), strict=True)
        ],
    )


gaps = x_test[np.isnan(x_test).any(axis=1)]
apart = np.diff([model.predict(x_test) for model in models.values()], axis=0)
crossed = x_test[(apart < 0).any(axis=0)]
save_cases(
    HERE,
    range_case(np.concatenate([x_test[:2], gaps[:1]])),
    range_case(x_test),
    range_case(x_test[:1]),
    range_case(gaps),
)
least, _, most = predict(x_test)
inside = np.mean((least <= y_test) & (y_test <= most))
print(f"{inside:.0%} of {len(x_test)} held-out rows are inside; {len(gaps)} have gaps, {len(crossed)} cross")
