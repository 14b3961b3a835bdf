"""The target that emits SeldonDeployments (Seldon Core v1, protocol v2) and the config maps that they mount."""
