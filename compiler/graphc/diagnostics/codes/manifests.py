"""GC6xx: SeldonDeployments as they stand: what the API server refuses, the operator fails on, or nothing runs."""

from typing import Final

from graphc.diagnostics.diagnostic import error, warning

MANIFEST_KIND: Final = error(
    "GC601", "manifest-kind", "A manifest is of a kind or version that Seldon has not."
)
UNKNOWN_FIELD: Final = error(
    "GC602", "manifest-unknown-field", "A manifest has a field that is not known there."
)
FIELD_TYPE: Final = error("GC603", "manifest-field-type", "A manifest's field has a value of another type.")
FIELD_MISSING: Final = error("GC604", "manifest-field-missing", "A manifest lacks a field that it needs.")
TOO_DEEP: Final = error("GC605", "units-too-deep", "Units nest deeper than the API server keeps.")
QUANTITY: Final = error("GC606", "quantity", "A quantity cannot be read.")
REPEATED_ENTRY: Final = error("GC607", "repeated-entry", "A list has an entry twice that must differ.")
MANIFEST_NAME: Final = error(
    "GC608", "manifest-name", "A name, label or annotation is not one to the API server."
)
UNKNOWN_PROTOCOL: Final = error(
    "GC610", "unknown-protocol", "A protocol, transport or server type does not exist."
)
NO_PREDICTOR: Final = error("GC611", "no-predictor", "A deployment has no predictor.")
PREDICTOR_TWICE: Final = error("GC612", "predictor-twice", "Two predictors share a name or a Service.")
NO_CONTAINER: Final = error("GC613", "no-container", "A unit has no container of its name.")
NO_MODEL_URI: Final = error("GC614", "no-model-uri", "A prepackaged server has no model to load.")
UNKNOWN_SERVER: Final = error("GC615", "unknown-server", "An implementation is no prepackaged server.")
SERVER_PROTOCOL: Final = error(
    "GC616", "server-protocol", "A prepackaged server does not speak the protocol."
)
LIVE_TRAFFIC: Final = error("GC617", "live-traffic", "The live predictors' traffic is not 100 in sum.")
SHADOWS: Final = error("GC618", "shadows", "A shadow is alone, is one of two, or has no possible traffic.")
ENGINE_NEEDED: Final = error(
    "GC619", "engine-needed", "A graph of several units is to run without the executor."
)
MIXED_ENDPOINTS: Final = error("GC620", "mixed-endpoints", "Units are to be called in more than one way.")
KAFKA_SETTINGS: Final = error("GC621", "kafka-settings", "A Kafka server lacks its broker or a topic.")
LOGGER_MODE: Final = error("GC622", "logger-mode", "A logger does not say what it logs.")
NO_METHOD: Final = error("GC623", "no-method", "A unit of unknown type has no methods.")
MADE_NAME: Final = error(
    "GC630", "made-name", "An object that the operator makes would have a name that is none."
)
NO_IMAGE: Final = error("GC631", "no-image", "A container has no image.")
NO_PLACE: Final = error("GC632", "no-place-for-engine", "The executor finds no pod to run in.")
POD_VALUE: Final = error("GC633", "pod-value", "A field of a pod has a value that Kubernetes refuses.")
POD_CHOICE: Final = error(
    "GC634", "pod-choice", "Of fields that exclude each other, there are too many or none."
)
POD_TWICE: Final = error("GC635", "pod-twice", "Two things in a pod share a name or a path.")
UNKNOWN_VOLUME: Final = error("GC636", "unknown-volume", "A container mounts a volume that its pod has not.")
NOT_IN_POD: Final = error("GC637", "not-in-pod", "A field may not be set there.")
RESOURCES: Final = error("GC638", "pod-resources", "Requests and limits are not possible together.")
SCALING: Final = error("GC639", "scaling", "Numbers of replicas are not possible.")
MADE_LABEL: Final = error("GC640", "made-label", "A label or annotation is not one to Kubernetes.")
ANNOTATION_NUMBER: Final = error(
    "GC641", "annotation-number", "An annotation that is read as a number is none."
)
EXPLAINER_TYPE: Final = error("GC642", "explainer-type", "An explainer's type does not exist.")
UNKNOWN_WORD: Final = warning("GC650", "unknown-word", "A word is accepted that nothing understands.")
CHILDLESS: Final = warning(
    "GC651", "childless-unit", "A combiner or router has no children, so nothing calls it."
)
LOST_ANSWERS: Final = warning(
    "GC652", "lost-answers", "Of several children's answers only the first is used."
)
IDLE_UNIT: Final = warning("GC653", "idle-unit", "A unit is accepted that does nothing.")
ABTEST_RATIO: Final = warning(
    "GC654", "abtest-ratio", "An A/B test does not share requests out as it seems to."
)
UNIT_TWICE: Final = warning("GC655", "unit-twice", "Two units, or containers of units, have the same name.")
GRPC_GRAPH: Final = warning(
    "GC656", "grpc-graph", "A graph is to be called over gRPC, which carries one model only."
)
ODD_TRAFFIC: Final = warning("GC657", "odd-traffic", "Traffic is accepted that no router can share out.")
UNKNOWN_GPU: Final = warning("GC658", "unknown-gpu", "A GPU resource is asked for that no GPU offers.")
IGNORED: Final = warning("GC659", "ignored-setting", "A setting is accepted and has no effect, or a bad one.")
UNKNOWN_PORT: Final = warning("GC660", "unknown-port", "A probe asks a port that its container has not.")
GIVEN_TWICE: Final = warning("GC662", "given-twice", "A name is given twice that one CRD takes once.")
TOO_MUCH_TOLD: Final = warning(
    "GC663", "too-much-told", "A predictor is larger than what the executor's environment takes."
)
DEPLOYMENT_TWICE: Final = warning(
    "GC664", "deployment-twice", "Two SeldonDeployments of one file have the same name."
)
PORT_TAKEN: Final = warning("GC661", "port-taken", "Two containers of a pod are to listen on the same port.")
