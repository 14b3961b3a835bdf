"""Rules about artefacts: model files, Python modules, and where they come from."""

from typing import Final

from graphc.diagnostics.diagnostic import error, warning

MISSING_ARTEFACT: Final = error("GC501", "missing-artefact", "A graph names a file that does not exist.")
UNKNOWN_FRAMEWORK: Final = error(
    "GC502", "unknown-framework", "A model's suffix names no framework that graphc serves."
)
UNREADABLE_ARTEFACT: Final = error(
    "GC503", "unreadable-artefact", "A model file is damaged, or is not of the kind that its suffix says."
)
UNSUPPORTED_TENSOR: Final = error(
    "GC504", "unsupported-tensor", "A model takes or gives something that a V2 message cannot carry."
)
UNKNOWN_SIGNATURE: Final = error(
    "GC505", "unknown-signature", "A model file does not tell its tensors, so the graph file must."
)
UNFITTED_MODEL: Final = error(
    "GC506", "unfitted-model", "A model file holds an estimator that was not fitted."
)
MISSING_MODULE: Final = error("GC507", "missing-module", "A Python node names a module that does not exist.")
INVALID_MODULE: Final = error("GC508", "invalid-module", "A Python node's module does not parse.")
MISSING_FUNCTION: Final = error(
    "GC509", "missing-function", "A Python node's module has no function or class of that name."
)
TOO_LARGE_FOR_CONFIG_MAP: Final = error(
    "GC510", "too-large-for-config-map", "A local file is too large to be shipped in a config map."
)
UNKNOWN_SCHEME: Final = error("GC511", "unknown-scheme", "A model's URI has a scheme that no unit can fetch.")
UNDECLARED_REMOTE: Final = error(
    "GC512", "undeclared-remote", "A model that is fetched on the cluster has no declared tensors."
)
VARIANT_DIFFERS: Final = error(
    "GC513", "cpu-variant-differs", "A model for processors takes or gives other tensors than the model."
)
USELESS_VARIANT: Final = error(
    "GC514", "useless-cpu-variant", "A model for processors is named where it can never be the one that runs."
)
VARIANT_ELSEWHERE: Final = error(
    "GC515", "cpu-variant-elsewhere", "A model for processors does not come to the cluster as the model does."
)
NO_ONNXRUNTIME: Final = error(
    "GC520", "no-onnxruntime", "Merging ONNX models needs onnxruntime, which is not installed."
)
# GC521 asked to copy merged models into the store by hand; `graphc push` puts them there.
MISSING_PACKAGE: Final = error(
    "GC541", "missing-package", "A Python node imports what neither the runtime image nor the graph brings."
)
BAD_REQUIREMENT: Final = error(
    "GC542", "bad-requirement", "A requirement is not a package with versions that an index has."
)
STORE_HERE: Final = warning(
    "GC540", "store-here", "A store is a folder of this machine, which no pod of a cluster has."
)
FILE_ELSEWHERE: Final = error(
    "GC530", "file-elsewhere", "A file that a graph or a model names is a link that leads out of its folder."
)
UNKNOWN_OPERATOR: Final = error(
    "GC531", "unknown-operator", "A model has an operator that the runtime image cannot run."
)
NEWER_MODEL: Final = error(
    "GC532", "newer-model", "A model is of a newer kind than the runtime image can load."
)
MISSING_LOCALE: Final = error(
    "GC533",
    "missing-locale",
    "A model changes texts by the rules of a language that the runtime image lacks.",
)
OTHER_VERSION: Final = warning(
    "GC534", "other-version", "Another version of a library wrote a model file than the runtime image has."
)
MISSING_CLASS: Final = error(
    "GC535", "missing-class", "A model file needs a class or function that its unit will not have."
)
