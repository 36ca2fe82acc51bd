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
from enginebench.results.point_report import PointReport
from enginebench.workflow.observed import ReceivedPoint

KEY = "point.json.gz"
LEVEL = 6


def packed(point: ReceivedPoint) -> str:
    """The value of `binaryData`; the same for the same report in every process."""
    return base64.b64encode(gzip.compress(point.payload, LEVEL, mtime=0)).decode()


def digest(point: ReceivedPoint) -> str:
    """SHA-256 of the report, hexadecimal."""
    return hashlib.sha256(point.payload).hexdigest()


def unpacked(config_map: Obj) -> ReceivedPoint | None:
    """The point inside; None where it is none, or not the one that its digest names."""
    text = (config_map.get("binaryData") or {}).get(KEY, "")
    said = (config_map["metadata"].get("annotations") or {}).get(labels.SHA256, "")
    try:
        payload = gzip.decompress(base64.b64decode(text, validate=True))
        if hashlib.sha256(payload).hexdigest() != said:
            return None
        report = messages.decode("point", payload)
    except (binascii.Error, OSError, EOFError, zlib.error, msgspec.MsgspecError):
        return None
    return ReceivedPoint(report=report, payload=payload) if isinstance(report, PointReport) else None
