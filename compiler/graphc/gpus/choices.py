"""What can be done where a rollout finds no room; that new pods start before old ones end, nothing can change."""


def list_choices(*, whole_gpus: bool, replicas: bool, versions: bool) -> str:
    """Return what can be done about pods that ask for whole GPUs, are several alike, or of several versions."""
    choices = [
        *(["ask for a part of a GPU or a smaller slice"] if whole_gpus else []),
        *(["run fewer replicas while it rolls"] if replicas else []),
        *(["let a shadow or canary run with `device: cpu`"] if versions else []),
    ]
    return ", ".join([*choices, "or add a node"] if choices else ["add a node"])
