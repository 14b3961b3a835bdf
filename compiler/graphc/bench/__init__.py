"""Measure what a target takes and how long it takes, with a load generator that runs beside it.

The load libraries that are kept well do not fit. Locust's users each wait for their answer, a closed loop, and cost
more processor than the servers measured here. wrk2, vegeta and k6 keep to an arrival rate, but are programs that no
Python package brings along, and compare no answers. NVIDIA's perf_analyzer counts from the moment that a request was
sent, speaks V2 alone, and is one more server's client to install. So the generator is this package's own: blocking
sockets on one selector and a reader of HTTP/1.1, in processes of their own, which import the standard library alone.
"""
