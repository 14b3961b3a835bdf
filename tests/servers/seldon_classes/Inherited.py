"""A class that inherits from Seldon's own, and uses what its package has."""

import flask
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.metrics import create_counter
from seldon_core.user_model import SeldonComponent, SeldonNotImplementedError, SeldonResponse


class NoCustomerError(SeldonMicroserviceException):
    status_code = 404


class OwnError(Exception):
    def __init__(self, message, status_code):
        super().__init__(message)
        self.message, self.status_code = message, status_code


HANDLERS = flask.Blueprint("error_handlers", __name__)


@HANDLERS.app_errorhandler(OwnError)
def handle(error):
    response = flask.jsonify({"status": {"info": error.message}})
    response.status_code = error.status_code
    return response


class Inherited(SeldonComponent):
    """Answers or fails as the request's tag `form` says."""

    model_error_handler = HANDLERS

    def __init__(self, factor=2, **others):
        super().__init__(**others)
        self.factor = factor

    def predict_raw(self, msg):
        raise SeldonNotImplementedError("not here")

    def predict(self, X, names, meta=None):
        form = meta["tags"].get("form", "response")
        if form == "usual":
            raise SeldonMicroserviceException("the request is no good")
        if form == "missing":
            raise NoCustomerError("there is no such customer")
        if form == "later":
            raise SeldonMicroserviceException("come again later", status_code=503)
        if form == "own":
            raise OwnError("of its own kind", 418)
        if form == "other":
            raise RuntimeError("of no kind")
        if form == "array":
            return X * self.factor
        tags = {"runtime": form, "version": 3}
        return SeldonResponse(X * self.factor, tags=tags, metrics=[create_counter("inherited_runtime", 2)])

    def tags(self):
        return {"version": 2, "own": True}

    def metrics(self):
        raise SeldonNotImplementedError("there are none")

    def init_metadata(self):
        return {"name": "inherited", "versions": ["7"], "custom": {"team": "risk"}}
