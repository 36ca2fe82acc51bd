"""The latency model: how long an engine's steps take. Pure: the same arguments give the same times.

Times are integer nanoseconds. Jitter is drawn from a counter (SplitMix64 over seed and number) instead of a
running generator, so that a step's and a request's draw do not depend on what else was drawn before.
"""

from dataclasses import dataclass

_MASK = (1 << 64) - 1


def draw(seed: int, *numbers: int) -> float:
    """A fraction in [0, 1) that belongs to `seed` and `numbers` (SplitMix64's finalizer, chained)."""
    state = seed & _MASK
    for number in numbers:
        state = (state + (number + 1) * 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return (state >> 11) / (1 << 53)


@dataclass(frozen=True, slots=True)
class LatencyModel:
    """step time = (decode_step + decode_step_per_sequence * batch) * jitter + the joining requests' prefill."""

    prefill_per_token: int
    decode_step: int
    decode_step_per_sequence: int
    jitter: float = 0.0
    seed: int = 0

    def prefill(self, prompt_tokens: int, key: int) -> int:
        """Time to read a prompt; `key` names the request, which has a jitter of its own."""
        return self._jittered(self.prefill_per_token * prompt_tokens, 1, key)

    def decode(self, batch: int, number: int) -> int:
        """Time of decode step `number` for a batch of `batch` requests."""
        return self._jittered(self.decode_step + self.decode_step_per_sequence * batch, 2, number)

    def _jittered(self, time: int, kind: int, number: int) -> int:
        if not self.jitter:
            return time
        return round(time * (1 + self.jitter * (2 * draw(self.seed, kind, number) - 1)))
