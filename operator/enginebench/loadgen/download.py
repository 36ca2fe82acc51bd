"""A data set that lies at a URL: downloaded to the pod's scratch space, and held to be the file that the run names."""

import hashlib
import http.client
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import BinaryIO

from enginebench import __version__
from enginebench.api.loadplan import DOWNLOAD_SECONDS, DownloadPlan
from enginebench.loadgen.errors import GaveUp, in_words

TRIES = 5
PAUSE_SECONDS = 1.0
"""After the first failure; twice as long after each further one."""
SILENCE_SECONDS = 30.0
"""A server that sends nothing for so long has failed."""
CHUNK_BYTES = 256 * 1024
SAY_BYTES = 8 * 1024 * 1024
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
MEBIBYTE = 1024 * 1024


class _Failed(Exception):  # noqa: N818  # named for what happened
    """One try; `transient`: the next one may go better."""

    def __init__(self, words: str, *, transient: bool) -> None:
        super().__init__(words)
        self.transient = transient


def download(
    plan: DownloadPlan,
    *,
    most: int,
    say: Callable[[str], None] = lambda _: None,
    within: float = DOWNLOAD_SECONDS,
    pause: float = PAUSE_SECONDS,
) -> BinaryIO:
    """The file, of at most `most` bytes, open for reading; gone when it is closed.

    Proxies are taken from the environment, authorities that certificates are checked by from the system.
    `within`: seconds for all tries together. Raises GaveUp (DatasetDownloadFailed, DatasetDigestMismatch).
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115  # handed on to who reads it
    try:
        digest, size = _with_patience(plan, file, most, say, time.monotonic() + within, pause)
        if digest != plan.sha256:
            raise GaveUp(
                "DatasetDigestMismatch",
                f"spec.workload.dataset.url: {_shown(plan.url)} is not the file that the run names: it has SHA-256 "
                f"{digest} ({size} bytes), and sha256 says {plan.sha256}. Correct the one or the other, and run again.",
            )
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _with_patience(
    plan: DownloadPlan, file: BinaryIO, most: int, say: Callable[[str], None], deadline: float, pause: float
) -> tuple[str, int]:
    """Digest and size; what may be better in a moment is tried again."""
    for number in range(1, TRIES + 1):
        try:
            return _once(plan.url, file, most, say, deadline)
        except _Failed as failed:
            wait = pause * 2 ** (number - 1)
            last = number == TRIES or time.monotonic() + wait >= deadline
            if not failed.transient or last:
                tries = f" ({number} tries)" if number > 1 else ""
                raise GaveUp(
                    "DatasetDownloadFailed",
                    f"spec.workload.dataset.url: {_shown(plan.url)} cannot be downloaded{tries}: {failed}. Correct "
                    "the URL, or let pods of this namespace reach it, and run again.",
                ) from failed
            say(f"downloading the data set again: {failed}")
            time.sleep(wait)
    raise AssertionError("the last try returns or raises")


def _once(url: str, file: BinaryIO, most: int, say: Callable[[str], None], deadline: float) -> tuple[str, int]:
    headers = {"User-Agent": f"enginebench/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # http or https, by the contract
    try:
        with _opener().open(request, timeout=SILENCE_SECONDS) as response:
            return _received(response, file, most, say, deadline)
    except urllib.error.HTTPError as error:
        error.close()
        raise _Failed(f"HTTP {error.code} {error.reason}", transient=error.code in TRANSIENT) from error
    except urllib.error.URLError as error:
        cause = error.reason
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise _Failed(f"its certificate is not trusted: {cause.verify_message}", transient=False) from error
        words = in_words(cause) if isinstance(cause, BaseException) else str(cause)
        raise _Failed(words, transient=isinstance(cause, OSError)) from error
    except http.client.HTTPException as error:
        raise _Failed(f"the connection broke: {type(error).__name__}", transient=True) from error
    except OSError as error:
        raise _Failed(in_words(error), transient=True) from error


def _opener() -> urllib.request.OpenerDirector:
    """http and https with redirects, and nothing else: no ftp, no file, no data URL."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _received(
    response: http.client.HTTPResponse, file: BinaryIO, most: int, say: Callable[[str], None], deadline: float
) -> tuple[str, int]:
    """Digest and size of the body, which is in the file then."""
    length = response.headers.get("Content-Length", "")
    expected = int(length) if length.isdigit() else None
    if expected is not None and expected > most:
        raise _too_large(most)
    file.seek(0)
    file.truncate()
    digest, size, said = hashlib.sha256(), 0, 0
    while chunk := response.read1(CHUNK_BYTES):  # whatever is there: read() waits for so many bytes, past any deadline
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        if time.monotonic() > deadline:
            raise _Failed(f"not complete in time, {size} bytes came", transient=False)
        digest.update(chunk)
        _write(file, chunk)
        if size - said >= SAY_BYTES:
            said = size
            whole = f" of {expected // MEBIBYTE}" if expected is not None else ""
            say(f"downloading the data set: {size // MEBIBYTE}{whole} MiB")
    if expected is not None and size < expected:  # read1() does not tell
        raise _Failed(f"the connection ended after {size} of {expected} bytes", transient=True)
    return digest.hexdigest(), size


def _write(file: BinaryIO, chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise _Failed(f"the pod has no room for it: {in_words(error)}", transient=False) from error


def _too_large(most: int) -> _Failed:
    return _Failed(f"it is larger than {most // MEBIBYTE} MiB", transient=False)


def _shown(url: str) -> str:
    """Without its query, which may hold a key."""
    return url.partition("?")[0]
