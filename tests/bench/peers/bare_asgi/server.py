"""No framework: an ASGI application of a dozen lines on uvicorn, the floor of any Python server."""

import sys
from pathlib import Path

import numpy as np
import orjson
import uvicorn

sys.path.append(str(Path(__file__).parents[1]))
from mean_graph import MeanGraph

port, folder = int(sys.argv[1]), Path(sys.argv[2])
graph = MeanGraph(folder)
HEADERS = [(b"content-type", b"application/json")]


async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    request = orjson.loads(b"".join(parts))
    y = graph(np.array(request["data"], np.float32).reshape(request["shape"]))
    body = orjson.dumps({"shape": y.shape, "data": y.ravel()}, option=orjson.OPT_SERIALIZE_NUMPY)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]})
    await send({"type": "http.response.body", "body": body})


uvicorn.run(application, port=port, log_level="warning", access_log=False, lifespan="off")
