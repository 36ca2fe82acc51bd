"""Which blocks of which prompts have been read before, as vLLM's prefix caching has it: whole blocks, from the start."""

from collections import OrderedDict

BLOCK_TOKENS = 16


class PrefixCache:
    """The blocks of prompts; the least recently used ones are forgotten."""

    def __init__(self, most_tokens: int) -> None:
        self._most = max(1, most_tokens // BLOCK_TOKENS)
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def look_up(self, prompt: str) -> int:
        """Tokens at the start of the prompt that need not be read again; from now on all of it is known."""
        words = prompt.split()
        prefix = found = 0
        for begin in range(0, len(words) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
            prefix = hash((prefix, *words[begin : begin + BLOCK_TOKENS]))
            if prefix in self._blocks and found == begin:
                found = begin + BLOCK_TOKENS
            self._blocks[prefix] = None
            self._blocks.move_to_end(prefix)
        while len(self._blocks) > self._most:
            self._blocks.popitem(last=False)
        return min(found, max(0, len(words) - 1))
