"""A unit starts without what MLServer imports and a unit does not use, and whoever uses it finds it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HOSTING = "import sys; import graphc_runtimes.hosting; "


def say(code: str) -> str:
    """Run code in a process that has imported what serves a unit."""
    done = subprocess.run([sys.executable, "-c", HOSTING + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_serves_a_unit_imports_neither_pandas_nor_a_client_of_triton() -> None:
    code = (
        "print([name for name in ('mlserver', 'pandas', 'tritonclient', 'aiohttp') if name in sys.modules])"
    )
    assert say(code) == "['mlserver']"


@pytest.mark.parametrize(
    "code",
    [
        "from mlserver.codecs import PandasCodec",
        "import mlserver.codecs; PandasCodec = mlserver.codecs.PandasCodec",
        "import mlserver.codecs; PandasCodec = mlserver.codecs.pandas.PandasCodec",
        "from mlserver.codecs.pandas import PandasCodec",
        "from mlserver.codecs import *",
    ],
)
def test_the_codec_for_data_frames_is_there_for_who_asks_for_it(code: str) -> None:
    told = say(
        f"{code}; import pandas as pd; from mlserver.codecs.pandas import PandasCodec as found; "
        "assert PandasCodec is found; frame = pd.DataFrame({'a': [1, 2]}); "
        "print(PandasCodec.decode_request(PandasCodec.encode_request(frame)).to_dict('list'))"
    )
    assert told == "{'a': [1, 2]}"


def test_what_mlserver_lacks_it_still_lacks() -> None:
    code = "import mlserver.codecs as c; print(hasattr(c, 'PolarsCodec'), hasattr(c, 'NumpyCodec'))"
    assert say(code) == "False True"


def test_models_of_mlservers_kind_find_the_codec_by_its_content_type() -> None:
    told = say(
        "from mlserver.codecs import decode_inference_request as decode; "
        "from mlserver.types import InferenceRequest, Parameters, RequestInput; "
        "from graphc_runtimes.without_pandas import register_codec; "
        "x = RequestInput(name='x', shape=[2], datatype='INT64', data=[1, 2]); "
        "asked = InferenceRequest(inputs=[x], parameters=Parameters(content_type='pd')); "
        "before = type(decode(asked)).__name__; register_codec(); print(before, type(decode(asked)).__name__)"
    )
    assert told.endswith(" DataFrame")
    assert told != "DataFrame DataFrame"


def test_settings_are_those_that_mlservers_own_command_reads(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"http_port": 4711, "parallel_workers": 0}))
    (tmp_path / "model").mkdir()
    entry = {"name": "own", "implementation": "mlserver.MLModel", "parameters": {"version": "v3"}}
    (tmp_path / "model" / "model-settings.json").write_text(json.dumps(entry))
    told = say(
        "import asyncio; from graphc_runtimes.host import list_models, read_settings; "
        f"ours = read_settings({str(tmp_path)!r}); models = asyncio.run(list_models(ours)); "
        "from mlserver.cli.serve import load_settings; "
        f"theirs, others = asyncio.run(load_settings({str(tmp_path)!r})); "
        "assert ours == theirs; assert models == others; "
        "print(ours.http_port, [(each.name, each.parameters.version) for each in models])"
    )
    assert told == "4711 [('own', 'v3')]"
