"""A load in words and as a number, wherever it is told of."""


def in_words(concurrency: int | None, request_rate: float | None) -> str:
    """`64 users` or `10 requests/s`."""
    if request_rate is not None:
        return f"{request_rate:g} request{'s' if request_rate != 1 else ''}/s"
    return f"{concurrency or 0} user{'s' if concurrency != 1 else ''}"
