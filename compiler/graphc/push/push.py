"""Pushes files to stores, one after the other; what is there already is left alone."""

from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path

from graphc.push.problem import PushError
from graphc.push.stores import open_store
from graphc.records import record
from graphc.targets.storing import Upload

Say = Callable[[Upload, str], None]


@record
class Pushed:
    """How many files and bytes were sent, and how many were there already."""

    sent: int = 0
    bytes: int = 0
    there: int = 0


def push_all(uploads: Sequence[Upload], claims: Mapping[str, Path], say: Say, *, dry: bool) -> Pushed:
    """Push what stores lack, or only say what that is; raises PushError at the first file that cannot be."""
    done = Pushed()
    for upload in uploads:
        try:
            done = _push(upload, claims, say, done, dry=dry)
        except PushError as error:
            raise PushError(
                f"cannot push `{upload.files[0][0]}` to `{public(upload.uri)}`: {error}"
            ) from None
        except (OSError, HTTPException) as error:
            raise PushError(_describe(upload, str(error) or "the connection broke off")) from error
        # Clients of buckets have exceptions of their own, which are not to be imported here.
        except Exception as error:
            raise PushError(_describe(upload, str(error) or type(error).__name__)) from error
    return done


def _push(upload: Upload, claims: Mapping[str, Path], say: Say, done: Pushed, *, dry: bool) -> Pushed:
    store = open_store(upload, claims)
    if store.has(upload):
        say(upload, "is there")
        return Pushed(done.sent, done.bytes, done.there + 1)
    if not dry:
        store.put(upload)
    say(upload, "is missing" if dry else "pushed")
    return Pushed(done.sent + 1, done.bytes + upload.size, done.there)


def _describe(upload: Upload, reason: str) -> str:
    line = " ".join(reason.split())[:500]
    return f"cannot push `{upload.files[0][0]}` to `{public(upload.uri)}`: {line}"


def public(uri: str) -> str:
    """Return a URI without a password in it."""
    scheme, separator, rest = uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
