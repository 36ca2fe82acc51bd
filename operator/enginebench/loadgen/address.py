"""Where the engine is: its URL in the parts that a connection and a request need."""

import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """An engine's base URL, and what a connection to it needs."""

    scheme: str
    host: str
    port: int
    path: str
    """Before every route; empty or with a leading slash, never a trailing one."""
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """None: plain HTTP."""
    token: str = field(default="", repr=False)
    """Sent as a bearer token with every request; empty: none is."""

    @property
    def authority(self) -> str:
        """For the Host header; as browsers have it, without the scheme's own port, which gateways do not expect."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def authorization(self) -> str:
        """The header line that shows the token, with its end; empty without one."""
        return f"Authorization: Bearer {self.token}\r\n" if self.token else ""


def parse(url: str) -> Address:
    """The address of a base URL; ValueError says what is wrong with it."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        raise ValueError(f"the engine's URL {url!r} must begin with http:// or https://")
    if not parts.hostname:
        raise ValueError(f"the engine's URL {url!r} names no host")
    return Address(parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme], parts.path.rstrip("/"))
