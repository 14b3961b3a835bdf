"""LitServe: one API that does it all, as its documentation serves several models."""

import sys
from pathlib import Path

import litserve
import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
from mean_graph import MeanGraph

port, folder = int(sys.argv[1]), Path(sys.argv[2])


class MeanAPI(litserve.LitAPI):
    def setup(self, device):  # noqa: ARG002
        self.graph = MeanGraph(folder)

    def decode_request(self, request):
        return np.array(request["data"], np.float32).reshape(request["shape"])

    def predict(self, x):
        return self.graph(x)

    def encode_response(self, output):
        return {"shape": list(output.shape), "data": output.ravel().tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(MeanAPI(api_path="/infer"), accelerator="cpu")
    server.run(port=port, log_level="warning", generate_client_file=False)
