"""Serves SavedModels as TensorFlow Serving documents its REST API: a stand-in, as its own binary is in no registry.

It reads the configuration by tensorflow-serving-api's own messages, and TensorFlow runs the models.
https://www.tensorflow.org/tfx/serving/api_rest
"""

import argparse
import base64
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(:predict)?")


class RefusedError(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Served:
    def __init__(self, config):
        self.labels = dict(config.version_labels)
        wanted = set(config.model_version_policy.specific.versions)
        there = sorted(int(each.name) for each in Path(config.base_path).iterdir() if each.name.isdecimal())
        chosen = [each for each in there if each in wanted] if wanted else there[-1:]
        self.versions = {each: tf.saved_model.load(f"{config.base_path}/{each}") for each in chosen}

    def find(self, name, version, label):
        if label is not None and label not in self.labels:
            raise RefusedError(404, f"Unrecognized servable version label: {label}")
        asked = int(version) if version else self.labels[label] if label else max(self.versions)
        if asked not in self.versions:
            raise RefusedError(404, f"Servable not found for request: Specific({name}, {asked})")
        return self.versions[asked]


def predict(model, asked):
    name = asked.get("signature_name") or "serving_default"
    if name not in model.signatures:
        raise RefusedError(400, f'Serving signature name: "{name}" not found in signature def')
    signature = model.signatures[name]
    specs = signature.structured_input_signature[1]
    inputs = asked["inputs"]
    if set(inputs) != set(specs):
        raise RefusedError(400, f"input names are {sorted(inputs)}, and not {sorted(specs)}")
    try:
        tensors = {each: tf.constant(decode(value), specs[each].dtype) for each, value in inputs.items()}
        outputs = {each: encode(each, found) for each, found in signature(**tensors).items()}
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        raise RefusedError(400, str(error).split("\n")[0]) from None
    return {"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs}


def decode(value):
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return [decode(each) for each in value] if isinstance(value, list) else value


def encode(name, found):
    return write(found.numpy().tolist(), name.endswith("_bytes"))


def write(value, is_binary):
    if isinstance(value, list):
        return [write(each, is_binary) for each in value]
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()} if is_binary else value.decode()
    return value


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served = None

    def do_GET(self):
        self.answer(lambda _: {"model_version_status": [{"state": "AVAILABLE"}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(lambda model: predict(model, asked))

    def answer(self, compute):
        status, said = 200, None
        try:
            match = PATH.fullmatch(self.path)
            if match is None:
                raise RefusedError(404, f"Malformed request: {self.command} {self.path}")
            name, version, label, _ = match.groups()
            if name not in self.served:
                raise RefusedError(404, f"Servable not found for request: Latest({name})")
            said = compute(self.served[name].find(name, version, label))
        except RefusedError as error:
            status, said = error.status, {"error": str(error)}
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


parser = argparse.ArgumentParser()
for each in ("rest_api_port", "port", "model_config_file"):
    parser.add_argument(f"--{each}", required=True)
told = parser.parse_args()
text = Path(told.model_config_file).read_text()
configs = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
for each in configs:
    if not each.base_path.startswith("/"):
        parser.error(f"Expected model {each.name} to have an absolute path or URI")
Handler.served = {each.name: Served(each) for each in configs}
ThreadingHTTPServer(("127.0.0.1", int(told.rest_api_port)), Handler).serve_forever()
