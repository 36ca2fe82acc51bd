"""Names of children: readable at the front, unique at the back, the same in every pass.

They are Kubernetes object names and, for Services, DNS labels: at most 63 characters of a-z, 0-9 and '-'.
"""

import hashlib
from functools import lru_cache

from enginebench.workflow.observed import Role

RUN_CHARACTERS = 24
TARGET_CHARACTERS = 16
HASH_CHARACTERS = 6
LETTERS = "abcdefghijklmnopqrstuvwxyz"
"""The hash is letters only, so that no name ends in what looks like a version or a number."""


CA_VOLUME = "endpoint-ca"
"""The load pod's volume with an endpoint's CA certificates; the kubelet names it where it cannot be mounted."""
LABEL_RUN_UID = "enginebench.dev/run-uid"
LABEL_ROLE = "enginebench.dev/role"


def data_selector(run_uid: str) -> str:
    """The label selector that finds a run's measured points."""
    return f"{LABEL_RUN_UID}={run_uid},{LABEL_ROLE}=data"


@lru_cache(maxsize=4096)
def child_name(run: str, run_uid: str, role: Role, target: str, attempt: int, point: int | None = None) -> str:
    """`<run>-<target>-<letter><attempt>-<hash>`; a data ConfigMap's point stands behind its attempt."""
    key = "/".join((run_uid, target, str(attempt), role.value, "" if point is None else str(point)))
    digest = hashlib.sha256(key.encode()).digest()
    tail = "".join(LETTERS[byte % len(LETTERS)] for byte in digest[:HASH_CHARACTERS])
    number = f"{attempt}" if point is None else f"{attempt}p{point}"
    return f"{_cut(run, RUN_CHARACTERS)}-{_cut(target or 'run', TARGET_CHARACTERS)}-{role.value}{number}-{tail}"


def _cut(name: str, length: int) -> str:
    return name[:length].rstrip("-")
