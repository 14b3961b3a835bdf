"""MLServer alone: one model of its own that does it all, with no executor and no graphc."""

import json
import os
import sys
import tempfile
from pathlib import Path

port, folder = sys.argv[1], Path(sys.argv[2])
models = Path(tempfile.mkdtemp())
settings = {
    "debug": False,
    "http_port": int(port),
    "grpc_port": int(sys.argv[3]),
    "metrics_port": int(sys.argv[4]),
}
(models / "settings.json").write_text(json.dumps(settings | {"host": "127.0.0.1", "parallel_workers": 0}))
model = {"name": "mean", "implementation": "mean_model.MeanModel", "parameters": {"uri": str(folder)}}
(models / "model-settings.json").write_text(json.dumps(model))
here = Path(__file__).parent
path = os.pathsep.join([str(here), str(here.parent)])
start = "from mlserver.cli import main; main()"
os.execve(
    sys.executable,
    [sys.executable, "-c", start, "start", str(models)],
    os.environ | {"PYTHONPATH": path, "MLSERVER_METRICS_DIR": str(models)},
)
