"""Rules about users' classes, above all those written for Seldon's language wrapper."""

from typing import Final

from graphc.diagnostics.diagnostic import error

NO_METHOD: Final = error(
    "GC551", "no-class-method", "A node asks a class for a method of Seldon's wrapper that it does not have."
)
CALLED_OTHERWISE: Final = error(
    "GC552", "called-otherwise", "A method of a class cannot be called as Seldon's wrapper calls it."
)
CLASS_PARAMETER: Final = error(
    "GC553", "class-parameter", "A class cannot be made with the parameters that its node has."
)
CLASS_TENSORS: Final = error(
    "GC554", "class-tensors", "A node has tensors that a method of Seldon's wrapper does not take or give."
)
NOT_CALLABLE: Final = error(
    "GC555", "not-callable", "A Python node names a class for Seldon's wrapper, and no method of it."
)
