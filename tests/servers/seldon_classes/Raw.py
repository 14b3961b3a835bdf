"""A class whose methods take whole messages; the plain ones beside them are never asked."""

import base64
import json


class Raw:
    """Gives back what it was given, in the form that the request's tag `form` says."""

    def predict(self, X, names):
        raise AssertionError("the raw method comes first")

    def predict_raw(self, msg):
        form = msg["meta"]["tags"].get("form", "ndarray")
        meta = {"tags": {"seen": json.dumps(msg, sort_keys=True)}, "metrics": self.count("predict")}
        if form == "refuse":
            return {"status": {"code": 422, "info": "no such form", "status": "FAILURE"}}
        if form == "strData":
            return {"strData": msg["strData"][::-1], "meta": meta}
        if form == "binData":
            return {"binData": base64.b64encode(base64.b64decode(msg["binData"]) * 2).decode(), "meta": meta}
        if form == "jsonData":
            return {"jsonData": {"given": msg["jsonData"]}, "meta": meta}
        return {"data": msg["data"], "meta": meta}

    def transform_input_raw(self, msg):
        return {"data": msg["data"], "meta": {"tags": {"by": "transform_input"}}}

    def route_raw(self, msg):
        return {"data": {"ndarray": [[1]]}, "meta": {"metrics": self.count("route")}}

    def aggregate_raw(self, msg):
        first = msg["seldonMessages"][0]
        tags = {"count": len(msg["seldonMessages"]), "seen": json.dumps(msg, sort_keys=True)}
        return {"data": first["data"], "meta": {"tags": tags}}

    def count(self, where):
        return [{"type": "COUNTER", "key": "raw_requests", "value": 2, "tags": {"where": where}}]
