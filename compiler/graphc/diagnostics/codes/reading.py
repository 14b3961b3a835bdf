"""The rules of reading: files, YAML and the graph's parameters (GC0xx)."""

from typing import Final

from graphc.diagnostics.diagnostic import error, warning

UNREADABLE_FILE: Final = error("GC001", "unreadable-file", "A file cannot be read.")
NOT_UTF8: Final = error("GC002", "not-utf8", "A file is not UTF-8 text.")
CONTROL_CHARACTER: Final = error(
    "GC003", "control-character", "A file holds a character that YAML text may not."
)
YAML_SYNTAX: Final = error("GC004", "yaml-syntax", "A file is not YAML.")
EMPTY_FILE: Final = error("GC005", "empty-file", "A file holds no document.")
TOO_LARGE: Final = error("GC006", "file-too-large", "A document holds more values than any graph needs.")
TOO_DEEP: Final = error("GC007", "nested-too-deep", "A document nests deeper than any graph needs.")
RECURSIVE_ALIAS: Final = error("GC008", "recursive-alias", "An alias stands for a value that contains it.")
UNKNOWN_ALIAS: Final = error("GC009", "unknown-alias", "An alias names an anchor that no value has.")
DUPLICATE_KEY: Final = error("GC010", "duplicate-key", "A mapping has the same key twice.")
AMBIGUOUS_BOOLEAN: Final = error(
    "GC011", "ambiguous-boolean", "A word is a boolean to some YAML readers only."
)
AMBIGUOUS_SCALAR: Final = error(
    "GC012", "ambiguous-scalar", "A value is text or a number, depending on the reader."
)
KEY_NOT_TEXT: Final = error("GC013", "key-not-text", "A key of a mapping is not text.")
MERGE_KEY: Final = error("GC014", "merge-key", "A mapping is merged into another with `<<`.")
UNKNOWN_TAG: Final = error("GC015", "unknown-tag", "A value has a tag that graphc does not know.")
NUMBER_OUT_OF_RANGE: Final = error("GC016", "number-out-of-range", "A number does not fit into 64 bits.")
UNKNOWN_PARAMETER: Final = error(
    "GC020", "unknown-parameter", "`${name}` names a parameter that is not declared."
)
UNKNOWN_SETTING: Final = error("GC021", "unknown-setting", "`--set` names a parameter that is not declared.")
PARAMETER_TYPE: Final = error("GC022", "parameter-type", "A parameter's value is not of its declared type.")
PARAMETER_UNSET: Final = error("GC023", "parameter-unset", "A parameter has no value.")
PARAMETER_UNUSED: Final = warning("GC024", "parameter-unused", "A declared parameter is used nowhere.")
BAD_DECLARATION: Final = error("GC025", "bad-declaration", "A parameter's declaration is not understood.")
BAD_SUBSTITUTION: Final = error("GC026", "bad-substitution", "A `${` does not enclose a parameter's name.")
BUILDER_FAILED: Final = error(
    "GC030", "builder-failed", "A Python file that builds graphs ends with an error."
)
NO_GRAPH_BUILT: Final = error("GC031", "no-graph-built", "A Python file leaves no graph in its variables.")
