"""The generator's process: reads a job, says that it is ready, is told to go, and writes what it saw."""

import signal
import sys
from typing import TextIO

from graphc.bench.expect import Expectation, compare_answers
from graphc.bench.http_transport import HttpTransport
from graphc.bench.job import Job, read_job
from graphc.bench.load import Check, Stop, run_load
from graphc.bench.transport import Done, Transport
from graphc.http1 import write_request


def main(source: TextIO = sys.stdin, target: TextIO = sys.stdout) -> None:
    """Do one job; a signal ends it early, with what was measured until then."""
    stop = Stop()

    def set_stop(*_: object) -> None:
        stop.is_set = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, set_stop)
    job = read_job(source.readline())
    transport = make_transport(job)
    print("ready", file=target, flush=True)
    source.readline()
    try:
        outcome = run_load(job, transport, make_check(job), stop)
    finally:
        transport.close()
    print(outcome.to_line(), file=target, flush=True)


def make_transport(job: Job) -> Transport:
    """Return the way to a job's address."""
    address = job.address
    if address.protocol == "grpc":
        # gRPC is slow to import, and only its targets need it.
        from graphc.bench.grpc_transport import GrpcTransport

        return GrpcTransport(
            f"{address.host}:{address.port}", address.path, job.body, address.headers, job.timeout
        )
    head = write_request("POST", address.path, address.headers)
    return HttpTransport(address.host, address.port, head + job.body, job.timeout)


def make_check(job: Job) -> Check:
    """Return how answers are compared; messages of gRPC are compared as bytes, and by meaning where those differ."""
    if not job.expected:
        return lambda _: ""
    if job.address.protocol == "grpc":
        from graphc.bench.grpc_answers import compare_messages

        expectation = Expectation(job.expected, None, compare_messages)
    else:
        expectation = Expectation(job.expected, job.expected_json, compare_answers)

    def check(done: Done) -> str:
        return expectation.check(done.body, done.json_length)

    return check


if __name__ == "__main__":
    main()
