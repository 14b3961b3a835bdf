"""Seldon's executor over a plain MLServer for each unit; `PEER_EXECUTOR` names its binary."""

import os
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from seldon_units import executor_command, start_units, write_deployment

port, models, grpc_port = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
folder = Path(tempfile.mkdtemp())
deployment = write_deployment(folder, start_units(sys.executable, models, folder))
command = executor_command(os.environ["PEER_EXECUTOR"], deployment, port, grpc_port)
# In the executor's place the units stay its children, in its session: they end with it.
os.execv(command[0], command)
