"""A closed-loop gRPC client in a process of its own: `load_rpc.py HOST PORT REQUEST_FILE CLIENTS SECONDS` prints JSON.

The file holds the message as it goes over the wire. One channel carries the calls of all clients, each of which waits
for its answer before it asks again; of an answer only the status is looked at.
"""

import json
import sys
import time
from pathlib import Path

from graphc.bench.grpc_transport import GrpcTransport
from graphc.engine.proto import SERVICE
from load import summarise


def run(address: str, message: bytes, clients: int, seconds: float) -> dict[str, float]:
    """Ask for so many seconds, and return what was seen."""
    transport = GrpcTransport(address, f"/{SERVICE}/ModelInfer", message, (), 60)
    start = time.monotonic()
    asked: dict[int, float] = {}

    def ask(slot: int) -> None:
        asked[slot] = time.monotonic()
        transport.send(slot)

    for slot in range(clients):
        ask(slot)
    times: list[float] = []
    failed = 0
    while asked:
        for done in transport.poll(60):
            times.append(done.at - asked.pop(done.slot))
            failed += not done.is_success
            if done.at < start + seconds:
                ask(done.slot)
    took = time.monotonic() - start
    transport.close()
    return summarise(times, took, failed)


if __name__ == "__main__":
    _host, _port, _file, _clients, _seconds = sys.argv[1:]
    found = run(f"{_host}:{_port}", Path(_file).read_bytes(), int(_clients), float(_seconds))
    print(json.dumps(found))
