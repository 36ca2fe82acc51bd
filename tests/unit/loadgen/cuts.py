"""Bytes cut anywhere, as a socket may."""

from collections.abc import Iterator

from hypothesis import strategies as st


def cut(whole: bytes, data: st.DataObject) -> Iterator[bytes]:
    """The bytes in pieces at places that hypothesis chooses; none is empty."""
    places = sorted(data.draw(st.sets(st.integers(1, max(1, len(whole) - 1)), max_size=8)))
    for start, stop in zip([0, *places], [*places, len(whole)], strict=True):
        if whole[start:stop]:
            yield whole[start:stop]
