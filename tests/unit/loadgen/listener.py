"""What a load pod said, read back as the operator reads it."""

import os
from pathlib import Path

from enginebench.loadgen.speaker import Speaker
from enginebench.results.frames import Decoder, Spoken
from enginebench.results.messages import SpokenMessage


def heard(log: bytes) -> list[SpokenMessage]:
    """The messages of a log, in order."""
    decoder = Decoder()
    spoken = [decoder.feed(line) for line in log.split(b"\n")]
    return [one.message for one in spoken if isinstance(one, Spoken)]


class Log:
    """A file to speak into."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        self.speaker = Speaker(self._descriptor)

    def heard(self) -> list[SpokenMessage]:
        return heard(self._path.read_bytes())

    def close(self) -> None:
        os.close(self._descriptor)
