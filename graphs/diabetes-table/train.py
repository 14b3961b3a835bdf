"""Train a pipeline over a table of numbers and texts, and write the answers it must give."""

import math
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from export import Case, Json, case, save_cases, tensor, texts  # noqa: E402

NUMBERS = ["age", "bmi", "pressure"]
TEXTS = ["sex", "ward"]

data = load_diabetes(as_frame=True, scaled=False)
rng = np.random.default_rng(0)
table = pd.DataFrame(
    {
        "age": data.data["age"].astype(np.float32),
        "sex": data.data["sex"].map({1.0: "female", 2.0: "male"}).astype(object),
        "bmi": data.data["bmi"].astype(np.float32),
        "pressure": data.data["bp"].astype(np.float32),
        "ward": rng.choice(np.array(["north", "south", "east"], dtype=object), len(data.data)),
        "id": np.arange(len(data.data)),
    }
)
# Real tables have gaps.
for column in ("bmi", "ward"):
    table.loc[rng.random(len(table)) < 0.1, column] = np.nan
train, test, y_train, y_test = train_test_split(table, data.target, test_size=60, random_state=0)

model = make_pipeline(
    ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
            (
                "texts",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
                ),
                TEXTS,
            ),
        ]
    ),
    Ridge(),
).fit(train, y_train)
(HERE / "models").mkdir(exist_ok=True)
joblib.dump(model, HERE / "models/progression.joblib")


def column(rows: pd.DataFrame, name: str) -> Json:
    if name in TEXTS:
        return texts(name, rows[name].fillna("").tolist())
    made = tensor(name, rows[name].to_numpy())
    # JSON has no NaN: a missing number is null.
    return made | {"data": [None if math.isnan(value) else value for value in made["data"]]}


def table_case(rows: pd.DataFrame) -> Case:
    inputs = [column(rows, name) for name in ["age", "sex", "bmi", "pressure", "ward"]]
    return case(inputs, [tensor("progression", model.predict(rows))])


gaps = test[test["bmi"].isna() | test["ward"].isna()]
shown = pd.concat([test.head(2), gaps.head(2)])
unseen = test.head(1).assign(ward="west")
save_cases(HERE, table_case(shown), table_case(test), table_case(test.head(1)), table_case(unseen))
shown.drop(columns="id").to_csv(HERE / "rows.csv", index=False)
print(f"held-out R2 {model.score(test, y_test):.3f}, {len(gaps)} rows with gaps")
