"""Has the open attempt come to its end? The rules in their order; the first that speaks decides."""

from collections.abc import Callable
from datetime import datetime, timedelta

from enginebench.api.resolve import DRAIN_MEDIANS, DRAIN_SECONDS
from enginebench.results.stop import ERRORS
from enginebench.workflow.kueue import queue_ignored
from enginebench.workflow.moment import Moment
from enginebench.workflow.names import CA_VOLUME
from enginebench.workflow.observed import PodView
from enginebench.workflow.problem import COMPLETED, POD_GRACE, Problem
from enginebench.workflow.rules.pod_end import engine_died, load_pod_died
from enginebench.workflow.rules.pod_start import stuck
from enginebench.workflow.rules.reference import reference_not_usable
from enginebench.workflow.target import TargetView

SETTLE = timedelta(seconds=5)
"""A dead engine and its failing requests reach us by different ways: the kubelet gets this long to tell first."""
CAUGHT_UP = timedelta(seconds=3)
"""After every break the log is read from its beginning: what was said long ago takes a moment to arrive."""
DEAF_LIMIT = timedelta(seconds=300)
"""A log that cannot be read for so long is not waited for."""
SILENCE_LIMIT = timedelta(seconds=60)
"""A load pod speaks about once a second; beyond this and the point's grace it hangs."""

Rule = Callable[[TargetView, Moment], Problem | None]


def end_of_attempt(target: TargetView, now: Moment) -> Problem | None:
    """Why the open attempt ends now, or None while it goes on."""
    for rule in RULES:
        if (problem := rule(target, now)) is not None:
            return problem
    return None


def engine_exited(target: TargetView, now: Moment) -> Problem | None:
    """A bare pod that is over though nobody asked: a crash, unless all points were in before."""
    pod = target.engine
    if pod is None or not pod.over or pod.deleting is not None or pod.disrupted or not _caught_up(target, now):
        return None
    if (
        (_all_heard(target) or not target.missing)
        and pod.terminated is not None
        and _last_point_ended(target) < pod.terminated.at.timestamp()
    ):
        return None
    return engine_died(pod)


def engine_taken_away(target: TargetView, _: Moment) -> Problem | None:
    """Evicted, preempted, its node lost, or deleted by somebody: not the engine's fault."""
    if not target.has_engine or target.attempt is None:
        return None
    pod = target.engine
    if pod is None:
        if target.attempt.pod_uid is None:
            return None
        if target.taken:
            return Problem("EngineEvicted", f"The engine's pod was taken away: {target.taken.rstrip('.')}.")
        return Problem("EngineDeleted", "The engine's pod is gone, and it was not the operator that deleted it.")
    if pod.disrupted:
        return Problem("EngineEvicted", f"Engine pod {pod.name} {_taken(pod)}.")
    if pod.deleting is not None:
        return Problem("EngineDeleted", f"Engine pod {pod.name} was deleted, and not by the operator.")
    return None


def _taken(pod: PodView) -> str:
    return f"was taken {f'from node {pod.node}' if pod.node else 'away'}: {pod.disrupted.rstrip('.')}"


def load_gave_up(target: TargetView, now: Moment) -> Problem | None:
    """The load pod said why it cannot go on. If the engine died of it, its pod tells more in a moment."""
    failure, pod = target.heard.failure, target.load
    if failure is None or (target.has_engine and _settling(target, now)):
        return None
    if failure.reason != "Interrupted":
        return Problem(failure.reason, failure.message)
    if pod is None or pod.deleting is not None or pod.disrupted or _settling(target, now):
        return None
    return Problem("LoadPodDied", f"Load pod {pod.name} was told to stop, and not by the operator: {failure.message}")


def all_measured(target: TargetView, now: Moment) -> Problem | None:
    """Every planned point is in or skipped: the end, unless the last ones only show that the engine has died."""
    if target.missing or not (target.heard.ended or _nothing_more_to_hear(target)):
        return None
    newest = target.heard.points[-1].report if target.heard.points else None
    failing = (newest is not None and newest.requests.succeeded == 0) or any(
        ERRORS in (row.reasons or ()) for row in target.rows
    )
    if failing and target.has_engine and _settling(target, now):
        return None
    return Problem(COMPLETED, "")


def points_missing(target: TargetView, _: Moment) -> Problem | None:
    """The load pod has done what it was told, and yet a point is missing."""
    if not target.missing or not _all_heard(target):
        return None
    if any(row.validity == "Superseded" and row.index in target.missing for row in target.rows):
        return Problem(
            "EngineChanged",
            "The engine is not the one that served the earlier attempt: its points are measured again.",
        )
    indices = ", ".join(str(i) for i in target.missing)
    return Problem("ResultsMissing", f"The load pod ended its work without the load points {indices}. Run again.")


def engine_stuck(target: TargetView, now: Moment) -> Problem | None:
    """No node, no image, no volume, no Secret; or it runs, and does not answer in time."""
    pod = target.engine
    if pod is None:
        return None
    if (problem := stuck(pod, now, target.timeouts, active_since=target.active_since)) is not None:
        return problem
    data_read_at = target.data_read_at
    if pod.started_at is None or target.verified or data_read_at is None:
        return None  # a load pod that does not start is not the engine's fault: `load_stuck` speaks of it
    if not _caught_up(target, now) or target.heard.failure is not None:  # the load pod's own word goes before
        return None
    stage = _stage(target)
    limit = target.timeouts.startup_seconds + target.timeouts.calibration_seconds
    if stage != "Waiting" and target.spec.ollama is not None:
        limit += target.timeouts.model_download_seconds
    if stage == "Verifying":  # the load pod gives up first
        limit += target.timeouts.verification_seconds + int(SILENCE_LIMIT.total_seconds())
    if not now.reached(max(pod.started_at, data_read_at) + timedelta(seconds=limit)):
        return None
    said = f" The load pod says: {target.heard.progress.message}." if target.heard.progress else ""
    return Problem(
        "StartupTimeout",
        f"The engine in pod {pod.name} did not serve within {limit} s of its start.{said} Look at the engine's "
        "log (kubectl logs, while it starts), or raise spec.timeouts.startupSeconds.",
    )


def load_taken_away(target: TargetView, now: Moment) -> Problem | None:
    """A load pod was evicted or deleted by somebody; of several the Job deletes the others when one has died."""
    pod, job = target.load, target.load_job
    for one in target.all_load_pods:
        if one.disrupted:
            return Problem("LoadPodEvicted", f"Load pod {one.name} {_taken(one)}.")
    if (dead := next((p for p in target.followers if _died(p, target)), None)) is not None:
        return _follower_died(target, dead, now)
    for one in target.all_load_pods:
        if one.deleting is not None:
            return Problem("LoadPodDeleted", f"Load pod {one.name} was deleted, and not by the operator.")
    if pod is None and job is not None and job.failed:
        return Problem("LoadPodDeleted", f"The pod of Job {job.name} is gone: {job.failed}.")
    if pod is None and job is None and target.rows_of_attempt:
        return Problem("LoadPodDeleted", "The load Job is gone, and it was not the operator that deleted it.")
    return None


def load_died(target: TargetView, _: Moment) -> Problem | None:
    """Its container ended before its work did. First everything that it wrote is read."""
    pod = target.load
    if pod is None or not pod.over or target.heard.ended or not target.heard.exhausted or not target.missing:
        return None
    return load_pod_died(pod, target.heard.last_lines)


def _died(follower: PodView, target: TargetView) -> bool:
    """It exits with 0 when its leader lets it go, and is led from before the data set is read; where the leader is gone,
    that is the trouble, and nothing follows from what was not heard of it."""
    early = target.load is not None and not target.verified and target.heard.dataset is None
    return follower.phase == "Failed" or (follower.over and early)


def _follower_died(target: TargetView, dead: PodView, now: Moment) -> Problem | None:
    """The leader of a pod that was led says that it is lost: it gets a moment for that."""
    failure = target.heard.failure
    if not target.missing or (failure is not None and failure.reason != "Interrupted"):
        return None  # that is told by other rules
    if not _caught_up(target, now) or (dead.terminated is not None and not now.reached(dead.terminated.at + SETTLE)):
        return None
    return load_pod_died(dead, ())


def load_stuck(target: TargetView, now: Moment) -> Problem | None:
    """One cannot be created or cannot start, or the one that speaks has fallen silent."""
    pod = target.load
    if (problem := _not_created(target, now)) is not None or pod is None:
        return problem
    for one in target.all_load_pods:
        if (problem := stuck(one, now, target.timeouts, active_since=target.active_since)) is not None:
            return _ca_not_found(target, problem) or Problem(problem.reason, f"Load pod: {problem.message}")
        if one.gated:
            return _held_back(target, f"Load pod {one.name}", now)
    heard = target.heard
    if heard.ended or not _caught_up(target, now):
        return None
    if not target.has_engine and not target.verified and target.data_read_at is not None:
        return _endpoint_not_verified(target, pod, target.data_read_at, now)
    if heard.engine is None or heard.heard_at is None:
        return None
    limit = SILENCE_LIMIT + timedelta(seconds=target.timeouts.point_grace_seconds)
    if not now.reached(heard.heard_at + limit):
        return _point_overdue(target, pod, now)
    if not target.missing:
        return Problem(COMPLETED, "")  # only its last word was lost on the way
    return Problem(
        "LoadPodSilent",
        f"Load pod {pod.name} has said nothing for {limit.seconds} s. Look at its log and its node ({pod.node}), "
        "and run again.",
    )


def _not_created(target: TargetView, now: Moment) -> Problem | None:
    """The Job cannot create all of its pods."""
    job, there = target.load_job, len(target.all_load_pods)
    if job is not None and job.suspended:
        return _held_back(target, f"Job {job.name}, which somebody has suspended,", now)
    if job is None or (target.load is not None and target.verified) or not now.reached(job.created + POD_GRACE):
        return None
    if there >= target.load_pods:
        return None
    has = "no pod" if not there else f"only {there} of its {target.load_pods} pods"
    return Problem(
        "LoadPodNotCreated",
        f"Job {job.name} has had {has} for {POD_GRACE.seconds} s: {job.trouble or 'no Event says why'}",
    )


def _ca_not_found(target: TargetView, problem: Problem) -> Problem | None:
    """The kubelet names a ConfigMap that is missing, but not one that lacks a key."""
    ca = target.spec.endpoint.ca if target.spec.endpoint is not None else None
    if ca is None or problem.reason != "VolumeNotFound" or f'"{CA_VOLUME}"' not in problem.message:
        return None
    return Problem(
        "CANotFound",
        f"endpoint.tls.caConfigMapRef: ConfigMap {ca.name} with key {ca.key} is not there in the run's namespace. "
        f"Create it, and run again. ({problem.message})",
    )


def _held_back(target: TargetView, what: str, now: Moment) -> Problem | None:
    """An engine that runs holds its GPU: it waits for its load pod no longer than for a node."""
    engine, limit = target.engine, target.timeouts.scheduling_seconds
    if engine is None or engine.started_at is None or not now.reached(engine.started_at + timedelta(seconds=limit)):
        return None
    return Problem(
        "Unschedulable",
        f"{what} was not admitted within {limit} s while its engine ran. Admit load pods without a queue, "
        "or raise spec.timeouts.schedulingSeconds.",
    )


def _point_overdue(target: TargetView, pod: PodView, now: Moment) -> Problem | None:
    """It speaks, but no point comes, though every part of a point is bounded."""
    since, longest = target.heard.milestone_at, target.longest_point
    if since is None or not target.missing:
        return None
    if longest is None:
        return _gets_no_further(target, pod, since, now)
    limit = SILENCE_LIMIT + timedelta(seconds=longest + target.timeouts.point_grace_seconds)
    if not now.reached(since + limit):
        return None
    return Problem(
        "PointTimeout",
        f"Load pod {pod.name} has brought no load point for {int(limit.total_seconds())} s, though none takes longer. "
        f"Look at its log and its node ({pod.node}), and run again.",
    )


def _gets_no_further(target: TargetView, pod: PodView, since: datetime, now: Moment) -> Problem | None:
    """Where its requests alone bound a point: its heart beats, but what measures says nothing new."""
    moved = max(target.heard.moved_at or since, since)
    longest = timedelta(seconds=max(target.longest_step, DRAIN_SECONDS) + target.timeouts.point_grace_seconds)
    if _stage(target) == "Draining":
        longest += DRAIN_MEDIANS * (moved - since)  # no request takes longer than its point has
    if not now.reached(moved + (limit := SILENCE_LIMIT + longest)):
        return None
    return Problem(
        "PointTimeout",
        f"Load pod {pod.name} has got no further with its load point for {int(limit.total_seconds())} s, though it "
        f"still speaks. Look at its log and its node ({pod.node}), and run again.",
    )


def _endpoint_not_verified(target: TargetView, pod: PodView, since: datetime, now: Moment) -> Problem | None:
    """The load pod itself gives up after startupSeconds, if it still can."""
    limit = target.timeouts.startup_seconds
    if _stage(target) == "Verifying":
        limit += target.timeouts.verification_seconds
    if not now.reached(since + timedelta(seconds=limit + target.timeouts.calibration_seconds) + SILENCE_LIMIT):
        return None
    return Problem(
        "StartupTimeout",
        f"Load pod {pod.name} has not verified the endpoint within {limit} s, nor given up. "
        f"Look at its log and its node ({pod.node}), and run again.",
    )


RULES: tuple[Rule, ...] = (
    queue_ignored,
    engine_exited,
    engine_taken_away,
    load_gave_up,
    all_measured,
    load_taken_away,
    load_died,
    points_missing,
    reference_not_usable,
    engine_stuck,
    load_stuck,
)


def _caught_up(target: TargetView, now: Moment) -> bool:
    """What the load pod has said by now is heard; before that nothing follows from what was not heard."""
    load, heard = target.load, target.heard
    if load is None or load.started_at is None or heard.ended or heard.exhausted:
        return True
    if heard.deaf_since is not None:
        return now.reached(heard.deaf_since + DEAF_LIMIT)
    return heard.since is not None and now.reached(heard.since + CAUGHT_UP)


def _stage(target: TargetView) -> str:
    """Where the load pod stands, by its own word."""
    return target.heard.progress.stage if target.heard.progress is not None else "Waiting"


def _all_heard(target: TargetView) -> bool:
    return target.heard.ended and target.heard.failure is None


def _nothing_more_to_hear(target: TargetView) -> bool:
    """All points were collected, but the load pod (and with it its word) is gone: there is nothing to wait for."""
    return target.load is None or target.heard.exhausted


def _last_point_ended(target: TargetView) -> float:
    return max((p.report.ended_at for p in target.heard.points), default=0.0)


def _settling(target: TargetView, now: Moment) -> bool:
    at = target.heard.milestone_at or target.heard.heard_at
    return at is not None and not now.reached(at + SETTLE)
