"""A handler of bytes, as an image or a text is sent: a request is one row."""

import json


def handle(data, context):
    if data is None:
        return None
    rows = [bytes(each.get("body") or each.get("data")) for each in data]
    return [json.dumps({"length": len(row), "first": row[:1].decode("latin-1")}) for row in rows]
