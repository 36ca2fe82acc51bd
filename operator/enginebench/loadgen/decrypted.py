"""What TLS has decrypted, on its way from uvloop to a connection."""

import asyncio

_BUFFER_BYTES = 65536
_BUFFER = memoryview(bytearray(_BUFFER_BYTES))
"""One for all: it is emptied before the event loop fills it again."""


class Decrypted(asyncio.BufferedProtocol):
    """Passes everything on to `connection`, bytes by a buffer of ours.

    A plain Protocol would get the same, but uvloop then allocates 256 KiB for every read of an event of 200 bytes,
    which costs 15 µs instead of 1 µs wherever the C library maps so large a piece anew.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: asyncio.Protocol) -> None:
        self._connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's signature; what does not fit follows
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.data_received(bytes(_BUFFER[:nbytes]))

    def eof_received(self) -> bool | None:
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)
