"""What went wrong, in words for people."""

import os


def in_words(error: BaseException) -> str:
    """The system's own sentence where there is one: event loops each word it in another way."""
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
