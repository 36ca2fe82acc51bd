"""Labels and annotations of a run's children; their names are in `workflow.names`."""

from enginebench.workflow.names import LABEL_ROLE, LABEL_RUN_UID
from enginebench.workflow.observed import Role

PREFIX = "enginebench.dev/"
RUN_UID = LABEL_RUN_UID
"""Every list selects by it."""
RUN = PREFIX + "run"
TARGET = PREFIX + "target"
ATTEMPT = PREFIX + "attempt"
ROLE = LABEL_ROLE
POINT = PREFIX + "point"
"""Of a data ConfigMap: the index of its load point."""
INDEX = "batch.kubernetes.io/job-completion-index"
"""Kubernetes' own, on the pods of an Indexed Job."""
MANAGED_BY = "app.kubernetes.io/managed-by"

SHA256 = PREFIX + "sha256"
"""Annotation of a data ConfigMap: SHA-256 (hexadecimal) of the point's report, before compression."""

LOAD_CONTAINER = "load"
GUIDELLM_CONTAINER = "guidellm"

ROLE_WORD = {
    Role.ENGINE: "engine",
    Role.SERVICE: "service",
    Role.LOAD_PLAN: "plan",
    Role.LOAD: "load",
    Role.LOAD_SERVICE: "load-service",
    Role.FETCH_PLAN: "fetch-plan",
    Role.FETCH: "fetch",
    Role.DATA: "data",
}
ROLE_OF_WORD = {word: role for role, word in ROLE_WORD.items()}


def labels(*, run: str, run_uid: str, role: Role, target: str, attempt: int) -> dict[str, str]:
    """What every child bears; `target` is empty for the run's own."""
    return {
        MANAGED_BY: "enginebench",
        RUN: run,
        RUN_UID: run_uid,
        TARGET: target,
        ATTEMPT: str(attempt),
        ROLE: ROLE_WORD[role],
    }
