"""Says where a version's answers are told of, for a service that compares versions."""

import hashlib
import json
from urllib.parse import urlencode

from graphc.compare.settings import read_settings
from graphc.targets.interface import Comparing


def name_content(content: object) -> str:
    """Return a name for what a version runs, which is written as JSON."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def write_receiver(comparing: Comparing, content: str, *, shadow: bool) -> str:
    """Return the address, which says in which role a version answers, and how much is compared.

    It names the content too: what answered before a change says nothing of what answers after it.
    """
    role = "shadow" if shadow else "live"
    settings = read_settings(comparing.settings)
    asked = {"sample": f"{settings.sample:g}"} if settings.sample < 1 else {}
    asked |= {"segment": settings.segment} if settings.segment is not None else {}
    asked |= {"content": content}
    return f"{comparing.url}/{role}?{urlencode(asked)}"
