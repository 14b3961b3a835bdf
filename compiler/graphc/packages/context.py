"""The build context of an image: a Dockerfile, what it installs with hashes, and graphc's own wheels."""

from pathlib import Path
from typing import Final

from graphc.packages.wheels import make_wheels
from graphc.runtime_image import read_image

LOCK: Final = "requirements.lock"

_DOCKERFILE: Final = """\
# Made by graphc. Build it in this folder: docker build --platform {platform} -t {image} .
FROM python:{python}-slim

# XGBoost, LightGBM and scikit-learn need the OpenMP runtime; ONNX's StringNormalizer a locale, which is made here.
RUN apt-get update \\
    && apt-get install --no-install-recommends --yes libgomp1 locales \\
    && localedef -i en_US -c -f UTF-8 en_US.UTF-8 \\
    && rm -rf /var/lib/apt/lists/*

COPY {lock} /src/
RUN pip install --no-cache-dir --require-hashes --no-deps -r /src/{lock}
COPY wheels /src/wheels
RUN pip install --no-cache-dir --no-index --no-deps /src/wheels/*.whl && rm -rf /src

# An empty folder: everything a unit is comes from its environment.
RUN mkdir -p /opt/empty /mnt/graphc && chown 1000:0 /mnt/graphc
ENV MLSERVER_MODEL_IMPLEMENTATION=graphc_runtimes.RegionModel \\
    MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION=graphc_runtimes.RegionRepository \\
    MLSERVER_PARALLEL_WORKERS=0 \\
    MLSERVER_GZIP_ENABLED=false \\
    MLSERVER_METRICS_DIR=/tmp \\
    PYTHONUNBUFFERED=1

WORKDIR /opt/empty
# A number, because Kubernetes cannot tell that a name is not root.
USER 1000
CMD ["python", "-m", "graphc_runtimes", "/opt/empty"]
"""


def make_context(image: str, platform: str, lock: str) -> dict[str, bytes]:
    """Return the files of the context by their names; raises PackageError."""
    dockerfile = _DOCKERFILE.format(image=image, platform=platform, python=read_image().python, lock=LOCK)
    wheels = {f"wheels/{name}": content for name, content in make_wheels().items()}
    return {"Dockerfile": dockerfile.encode(), LOCK: lock.encode(), **wheels}


def read_lock(folder: Path) -> str | None:
    """Return the lock of a context that was written before; None where there is none."""
    try:
        return (folder / LOCK).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def write_context(folder: Path, files: dict[str, bytes]) -> None:
    """Write a context, in place of the wheels of another one; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("wheels/graphc_*.whl"):
        if f"wheels/{old.name}" not in files:
            old.unlink()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)
