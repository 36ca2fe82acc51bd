"""Where the engine is: its URL in the parts that a connection and a request need."""

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """An engine's base URL."""

    host: str
    port: int
    path: str
    """Before every route; empty or with a leading slash, never a trailing one."""

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse(url: str) -> Address:
    """The address of a base URL; ValueError says what is wrong with it."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        raise ValueError(f"the engine's URL {url!r} must begin with http://: TLS is not supported yet")
    if not parts.hostname:
        raise ValueError(f"the engine's URL {url!r} names no host")
    return Address(parts.hostname, parts.port or 80, parts.path.rstrip("/"))
