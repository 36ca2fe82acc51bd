"""What the load pod says: messages framed on standard output, everything else on standard error."""

import os
import sys
from time import monotonic, time

import msgspec

from enginebench.loadgen.discretion import clean, without_token
from enginebench.results.frames import Encoder
from enginebench.results.messages import Progress, SpokenMessage

THIN_AFTER = 600
"""So many progress messages come a second apart, as many again two seconds apart, and so on: the log stays small."""
RAREST_SECONDS = 30
"""But never further apart: a pod that says nothing is taken for dead."""


class Speaker:
    """Writes frames to a file descriptor, each with one write(2), so that no other line is mixed into one."""

    def __init__(self, descriptor: int, *tokens: str) -> None:
        """`tokens` are never said, whatever a server repeats of them."""
        self._descriptor = descriptor
        self._tokens = tokens
        self._encoder = Encoder()
        self._progresses = 0
        self._said_at = 0.0
        self._said = ""
        self._last: Progress | None = None

    @classmethod
    def on_stdout(cls, *tokens: str) -> "Speaker":
        """Takes standard output for frames alone: what else is printed goes to standard error from now on."""
        own = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        return cls(own, *tokens)

    def say(self, message: SpokenMessage) -> None:
        """Write a message out."""
        for token in filter(None, self._tokens):
            message = clean(message, token)
        for line in self._encoder.message(message):
            os.write(self._descriptor, line)

    def complain(self, text: str) -> None:
        """Words for whoever reads the pod's log, on standard error."""
        for token in self._tokens:
            text = without_token(text, token)
        print(text, file=sys.stderr)  # noqa: T201  # a pod's log

    def progress(self, progress: Progress) -> None:
        """Say where the pod stands, unless that was done a moment ago; a new stage is always said."""
        progress = msgspec.structs.replace(progress, at=time())
        self._last = progress
        self._tell(progress)

    def again(self) -> None:
        """Say the last progress once more, as of when it was made: who hangs does not seem to get on."""
        if self._last is not None:
            self._tell(self._last)

    def _tell(self, progress: Progress) -> None:
        now = monotonic()
        pause = min(RAREST_SECONDS, 2 ** (self._progresses // THIN_AFTER))
        if progress.stage == self._said and now - self._said_at < 0.9 * pause:  # the beat itself is a little uneven
            return
        self._said, self._said_at = progress.stage, now
        self._progresses += 1
        self.say(progress)
