"""Train and export the model of the digits graph, and write the images and the answers it must give."""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from export import Case, binaries, case, save_cases, save_onnx, tensor, texts  # noqa: E402

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# The data has 17 shades (0 to 16), an image has 256.
x, y = load_digits(return_X_y=True)
pixels = (x * 255 / 16).round().astype(np.uint8)
train, test, y_train, y_test = train_test_split(pixels, y, test_size=60, random_state=0, stratify=y)

network = MLPClassifier((48,), max_iter=400, random_state=0).fit(train / 255, y_train)
save_onnx(network, HERE / "models/network.onnx", ["label", "probabilities"])


def png(row: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(row.reshape(8, 8)).save(file, format="png")
    return file.getvalue()


def digits_case(rows: np.ndarray) -> Case:
    probabilities = network.predict_proba(rows / 255)
    words = [WORDS[index] for index in probabilities.argmax(axis=1)]
    return case(
        [binaries("image", [png(row) for row in rows])],
        [texts("digit", words), tensor("probabilities", probabilities.astype(np.float32))],
    )


(HERE / "images").mkdir(exist_ok=True)
for digit, word in enumerate(WORDS):
    (HERE / f"images/{word}.png").write_bytes(png(test[y_test == digit][0]))

save_cases(HERE, digits_case(test[:3]), digits_case(test), digits_case(test[:1]))
print(f"held-out accuracy {network.score(test / 255, y_test):.3f}")
