"""A handler of numbers, in the envelope that its model is named for, where the server's configuration names none."""

import time

import numpy as np
import torch
from ts.torch_handler.request_envelope.json import JSONEnvelope
from ts.torch_handler.request_envelope.kserve import KServeEnvelope
from ts.torch_handler.request_envelope.kservev2 import KServev2Envelope

ENVELOPES = {"numbers": KServev2Envelope, "rows": JSONEnvelope, "whole": KServeEnvelope}


def answer(given, version):
    if isinstance(given, dict):
        given = given["data"]
    if isinstance(given, str):
        return [given.upper()]
    x = torch.tensor(np.asarray(given, np.float32))
    if bool((x < 0).any()):
        raise ValueError("a row is negative")
    if bool((x > 1000).any()):
        time.sleep(5)
    return (x * 2 * version).tolist()


def compute(data, context):
    version = float(context.manifest["model"]["modelVersion"])
    return [answer(each, version) for each in data]


def handle(data, context):
    if data is None:
        return None
    if "datatype" in data[0]:
        return compute(data, context)
    return ENVELOPES[context.manifest["model"]["modelName"]](compute).handle(data, context)
