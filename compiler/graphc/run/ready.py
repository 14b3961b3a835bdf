"""Ask a unit's server whether it is ready, as the probes do."""

from urllib.parse import quote

import aiohttp

from graphc.run.plan import HOST, UnitProcess


async def is_ready(http: aiohttp.ClientSession, process: UnitProcess) -> bool:
    """Say whether the server is up and has loaded the unit's model."""
    if process.ready:
        return await _is_ok(http, f"http://{HOST}:{process.ports.http}{process.ready}")
    base = f"http://{HOST}:{process.ports.http}/v2"
    model = quote(process.env.get("MLSERVER_MODEL_NAME", process.unit), safe="")
    return await _is_ok(http, f"{base}/health/ready") and await _is_ok(http, f"{base}/models/{model}/ready")


async def _is_ok(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url, timeout=aiohttp.ClientTimeout(total=5)) as response:
            return response.status == 200
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
