"""BentoML: a service for each model and one that composes them, as its documentation does."""

import os
import sys
from pathlib import Path

port, folder = sys.argv[1], sys.argv[2]
here = Path(__file__).parent
environment = os.environ | {
    "PEER_MODELS": folder,
    "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)]),
    "BENTOML_DO_NOT_TRACK": "True",
}
program = str(Path(sys.executable).with_name("bentoml"))
command = [program, "serve", "mean_service:Mean", "--port", port, "--working-dir", str(here)]
os.execve(program, command, environment)
