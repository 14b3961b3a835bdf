"""Reads a joblib or pickle file symbolically, walking past the arrays that joblib writes between opcodes."""

import io
import math

from graphc.artefacts.compression import open_source
from graphc.artefacts.numpy_pickles import JOBLIB_ARRAY, as_array, as_int
from graphc.artefacts.pickle_machine import Instance, PickleLimits, PickleMachine, Value
from graphc.artefacts.source import RefusedError


def read_pickled(file: io.BufferedReader, limits: PickleLimits | None = None) -> Value:
    """Return what a file made by joblib or pickle describes, and note in `limits` what it needs.

    Raises MalformedError or RefusedError.
    """
    return _JoblibMachine(open_source(file), limits or PickleLimits()).run()


class _JoblibMachine(PickleMachine):
    """A machine that knows that an array's bytes follow the opcode which builds its wrapper."""

    def built(self, instance: Instance) -> None:
        if instance.maker != JOBLIB_ARRAY:
            return
        array = as_array(instance)
        if array is None or not isinstance(instance.state, dict):
            raise RefusedError("it holds an array of an unusual kind")
        if array.dtype.has_objects:
            instance.content = PickleMachine(self.source, self.limits).run()
            return
        alignment = as_int(instance.state.get("numpy_array_alignment_bytes"))
        if alignment is not None:
            self.source.skip(self.source.read(1)[0])
        self.source.skip(math.prod(array.shape) * array.dtype.size)
