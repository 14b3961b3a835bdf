"""The SeldonDeployment of a manifest file, YAML or JSON."""

from pathlib import Path
from typing import Final, cast

import yaml

KIND: Final = "SeldonDeployment"


class ManifestError(ValueError):
    """A manifest cannot be read; the message says why, in one line."""


def read_deployment(path: Path) -> dict[str, object]:
    """Return the only SeldonDeployment among a file's documents; raises ManifestError."""
    documents = [cast("dict[str, object]", each) for each in _load(path) if isinstance(each, dict)]
    deployments = [each for each in documents if each.get("kind") == KIND]
    if len(deployments) != 1:
        raise ManifestError(f"`{path}` holds {len(deployments) or 'no'} {KIND}s, of which one is needed")
    return deployments[0]


def _load(path: Path) -> list[object]:
    try:
        with path.open("rb") as file:
            return list(yaml.safe_load_all(file))
    except OSError as error:
        raise ManifestError(f"`{path}` cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ManifestError(f"`{path}` is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ManifestError(f"`{path}` nests too deeply") from error
    # PyYAML lets the constructors of dates and numbers fail with their own errors.
    except (ValueError, OverflowError) as error:
        raise ManifestError(f"`{path}` is not YAML: {error}") from error
