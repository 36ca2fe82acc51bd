"""A measured point as it is stored: its report, byte for byte, compressed, in one immutable ConfigMap."""

import base64
import binascii
import gzip
import hashlib
import zlib

import msgspec

from enginebench.cluster import labels
from enginebench.cluster.api import Obj
from enginebench.results import messages
from enginebench.results.lines import window_bits
from enginebench.results.point_report import FORMAT, PointReport, format_of
from enginebench.workflow.observed import ReceivedPoint

KEY = "point.json.gz"
LEVEL = 6
GZIP = 16
"""Added to the bits of the window, it asks zlib for gzip's header, which it leaves without a time."""


def packed(point: ReceivedPoint) -> str:
    """The value of `binaryData`; the same for the same report in every process."""
    bits = window_bits(len(point.payload))
    zipped = zlib.compressobj(LEVEL, wbits=GZIP + bits, memLevel=bits - 7)
    return base64.b64encode(zipped.compress(point.payload) + zipped.flush()).decode()


def digest(point: ReceivedPoint) -> str:
    """SHA-256 of the report, hexadecimal."""
    return hashlib.sha256(point.payload).hexdigest()


def unpacked(config_map: Obj) -> ReceivedPoint | None:
    """The point inside; None where it is none, is not the one that its digest names, or is of another format."""
    payload = _whole(config_map)
    try:
        if payload is None or format_of(payload) != FORMAT:
            return None
        report = messages.decode("point", payload)
    except msgspec.MsgspecError:
        return None
    return ReceivedPoint(report=report, payload=payload) if isinstance(report, PointReport) else None


def strange_format(config_map: Obj) -> int | None:
    """The format of a point that is whole, and not of the one that is read here."""
    payload = _whole(config_map)
    try:
        found = format_of(payload) if payload is not None else FORMAT
    except msgspec.MsgspecError:
        return None
    return found if found != FORMAT else None


def _whole(config_map: Obj) -> bytes | None:
    """The report's JSON; None where its digest is another."""
    text = (config_map.get("binaryData") or {}).get(KEY, "")
    said = (config_map["metadata"].get("annotations") or {}).get(labels.SHA256, "")
    try:
        payload = gzip.decompress(base64.b64decode(text, validate=True))
    except (binascii.Error, OSError, EOFError, zlib.error):
        return None
    return payload if hashlib.sha256(payload).hexdigest() == said else None
