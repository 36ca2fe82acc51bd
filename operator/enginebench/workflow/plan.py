"""What `decide` answers: results to keep, the status to write, actions to take, in that order."""

from datetime import datetime, timedelta

import msgspec

from enginebench.api.loadplan import Measured
from enginebench.api.v1alpha1 import BenchmarkRunStatus
from enginebench.workflow.observed import Child, ReceivedPoint, Role


class Keep(msgspec.Struct, frozen=True):
    """Make a point durable: an immutable ConfigMap, created or verified before the status tells of it."""

    target: str
    attempt: int
    point: ReceivedPoint


class Create(msgspec.Struct, frozen=True):
    """Create one child. Its name follows from (run, target, role, attempt); an existing one of ours is success."""

    role: Role
    target: str
    attempt: int
    node: str = ""
    """ENGINE, FETCH: bind to this node by affinity (`placement.topology: SameNode`)."""
    gpu_product: str = ""
    """ENGINE, FETCH: require this nvidia.com/gpu.product (`SameProduct`)."""
    revision: str = ""
    """ENGINE: the commit that its model was fetched at."""
    url: str = ""
    """LOAD_PLAN of an endpoint by reference: where it answers."""
    points: tuple[int, ...] = ()
    """LOAD_PLAN: indices of the points to measure."""
    measured: tuple[Measured, ...] = ()
    """LOAD_PLAN of a sweep, or with stopWhen: what earlier attempts have measured."""
    dataset_digest: str = ""
    """LOAD_PLAN: what the data set must be."""


class Delete(msgspec.Struct, frozen=True):
    """Delete one child, by name and UID, in the background."""

    child: Child


class DeleteRun(msgspec.Struct, frozen=True):
    """Delete the run itself (ttlSecondsAfterFinished)."""


Action = Create | Delete | DeleteRun


class Happening(msgspec.Struct, frozen=True):
    """A Kubernetes Event on the run; told only after the status was written."""

    reason: str
    message: str
    warning: bool = False


class Plan(msgspec.Struct, frozen=True):
    """What follows from one observation."""

    keep: tuple[Keep, ...] = ()
    status: BenchmarkRunStatus | None = None
    """None: the status stays as it is."""
    actions: tuple[Action, ...] = ()
    wake_after: timedelta | None = None
    """Look again after this time even if nothing happens; None: only when something happens."""
    stands_until: datetime | None = None
    """From the same observation the same follows before this time, and nothing once the status is written and there are
    no actions; None: nobody has looked into that."""
    events: tuple[Happening, ...] = ()

    @property
    def idle(self) -> bool:
        """Nothing is to be done."""
        return self.status is None and not self.keep and not self.actions
