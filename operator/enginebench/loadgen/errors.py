"""What went wrong, in words for people."""

import os
import ssl

_NOT_TRUSTED = "it is signed by nobody who is trusted"
_CERTIFICATE = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed, and not trusted",
    19: _NOT_TRUSTED,
    20: _NOT_TRUSTED,
    21: _NOT_TRUSTED,
    62: "it is made for another host",
    64: "it is made for another IP address",
}
"""X509_V_ERR_… of OpenSSL's x509_vfy.h; what is not here is told in OpenSSL's words."""
UNTRUSTED = frozenset({18, 19, 20, 21})
WRONG_HOST = frozenset({62, 64})

_TLS = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS on this port",
    "RECORD_LAYER_FAILURE": "the server does not speak TLS on this port",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server asks for a client certificate, which is not supported",
}
"""Reasons of OpenSSL that a user meets."""


class GaveUp(Exception):  # noqa: N818  # named for what happened
    """The pod cannot do its work: a stable reason, and a message that says what is wrong and what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class BrokenFile(Exception):  # noqa: N818  # named for what the file is
    """A file of the data set cannot be read any further; the words say where and why."""


def in_words(error: BaseException) -> str:
    """The system's own sentence where there is one: event loops each word it in another way."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's TLS certificate is refused: {certificate_fault(error)}"
    if isinstance(error, ssl.SSLError):
        return _TLS.get(error.reason or "", f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}")
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer in time"
    if isinstance(error, ConnectionError) and not error.args:  # uvloop: the end of the stream during a handshake
        return "the server closed the connection"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def certificate_fault(error: ssl.SSLCertVerificationError) -> str:
    """What is wrong with the certificate: "it has expired"."""
    known = _CERTIFICATE.get(error.verify_code)
    if known is not None and error.verify_code not in WRONG_HOST:
        return known
    return f"{known or 'it does not hold'} ({error.verify_message})"
