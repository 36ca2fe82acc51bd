"""The objects that the operator creates for a run, as the API server gets them."""

import secrets
from collections.abc import Iterator
from typing import Any

from enginebench.api import loadplan, resolve
from enginebench.api.access import Secured
from enginebench.api.loadplan import (
    AccessPlan,
    GuideLlmPlan,
    LoadPlan,
    PrometheusPlan,
    RequestPlan,
    SamplingPlan,
)
from enginebench.api.v1alpha1 import API_VERSION, KIND, BenchmarkRunSpec, Prometheus, Target
from enginebench.cluster import datasets, fetch_job, labels, payload
from enginebench.cluster.api import Obj
from enginebench.cluster.guidellm import beside_guidellm
from enginebench.engines.base import Platform
from enginebench.engines.manifest import engine_pod
from enginebench.engines.registry import engine_of
from enginebench.workflow.names import CA_VOLUME, child_name
from enginebench.workflow.observed import Observed, Role
from enginebench.workflow.plan import Create, Keep

DATA_BYTES = 2 * 1024 * 1024
LEAST_POINT_BYTES = 4 * 1024
"""A run's points take at most so many bytes together, each at least so many."""
MOST_POINT_BYTES = 1024 * 1024
"""In frames, a third more than as it is stored: a ConfigMap holds 1 MiB."""
ENGINE_WAIT_SECONDS = 30 * 86400
"""A load pod waits so long for an engine that we deploy: the operator judges its start, which knows more."""
SECRET_BYTES = 32
"""Of what several load pods know each other by."""
LOAD_GRACE_SECONDS = 45
"""The load pod closes its point within 30 s of SIGTERM; the rest is for a slow node."""


def child(seen: Observed, create: Create, platform: Platform) -> Obj:
    """The object that `create` asks for. Raises LookupError where its target is not in the spec."""
    assert seen.spec is not None  # nothing is created for a run whose spec cannot be read
    target = None
    if create.target:
        target = next(t for t in seen.spec.targets if t.name == create.target)
    match create.role:
        case Role.ENGINE:
            assert target is not None  # only targets have engines
            body = engine_pod(
                *(seen.spec, target, platform),
                node=create.node,
                gpu_product=create.gpu_product,
                revision=create.revision,
            )
            body["metadata"]["labels"] = {**seen.queue_labels, **body["metadata"]["labels"]}
        case Role.SERVICE:
            assert target is not None
            body = _service(seen, create, target)
        case Role.LOAD_PLAN:
            plan = _plan(seen, seen.spec, create, target)
            text = loadplan.encode(plan).decode()
            body = {"apiVersion": "v1", "kind": "ConfigMap", "immutable": True, "data": {loadplan.PLAN_FILE: text}}
        case Role.LOAD:
            body = _job(seen, seen.spec, create, target, platform)
        case Role.LOAD_SERVICE:
            body = _load_service(seen, create)
        case Role.FETCH_PLAN:
            assert target is not None
            body = fetch_job.plan(seen, seen.spec, create, target)
        case Role.FETCH:
            assert target is not None
            body = fetch_job.job(seen, seen.spec, create, target, platform)
        case Role.DATA:
            raise ValueError("data ConfigMaps are made by `data`")
    return _dressed(seen, body, create.role, create.target, create.attempt)


def data(seen: Observed, keep: Keep) -> Obj:
    """The ConfigMap that makes a point durable."""
    index = keep.point.report.index
    body: Obj = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "labels": {labels.POINT: str(index)},
            "annotations": {labels.SHA256: payload.digest(keep.point)},
        },
        "immutable": True,
        "binaryData": {payload.KEY: payload.packed(keep.point)},
    }
    return _dressed(seen, body, Role.DATA, keep.target, keep.attempt, index)


def _dressed(seen: Observed, body: Obj, role: Role, target: str, attempt: int, point: int | None = None) -> Obj:
    """With name, labels and owner."""
    metadata = body.setdefault("metadata", {})
    own = labels.labels(run=seen.name, run_uid=seen.uid, role=role, target=target, attempt=attempt)
    metadata["name"] = child_name(seen.name, seen.uid, role, target, attempt, point)
    metadata["namespace"] = seen.namespace
    metadata["labels"] = {**metadata.get("labels", {}), **own}
    metadata["ownerReferences"] = [
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": seen.name,
            "uid": seen.uid,
            "controller": True,
            "blockOwnerDeletion": False,  # true would need a right on finalizers
        }
    ]
    return body


def _selector(seen: Observed, create: Create, role: Role) -> dict[str, str]:
    """Of the pods of a role in this attempt."""
    own = labels.labels(run=seen.name, run_uid=seen.uid, role=role, target=create.target, attempt=create.attempt)
    return {key: own[key] for key in (labels.RUN_UID, labels.TARGET, labels.ATTEMPT, labels.ROLE)}


def _load_service(seen: Observed, create: Create) -> Obj:
    """Gives each load pod a name of its own."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "spec": {
            "clusterIP": "None",
            "selector": _selector(seen, create, Role.LOAD),
            "ports": [{"name": "lead", "port": loadplan.LEADER_PORT, "targetPort": loadplan.LEADER_PORT}],
            "publishNotReadyAddresses": True,
        },
    }


def _service(seen: Observed, create: Create, target: Target) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "spec": {
            "selector": _selector(seen, create, Role.ENGINE),
            "ports": [{"name": "http", "port": engine_of(target).port(target), "targetPort": "http"}],
            "publishNotReadyAddresses": True,  # the load pod sees the engine before its probes do
        },
    }


def _job(seen: Observed, spec: BenchmarkRunSpec, create: Create, target: Target | None, platform: Platform) -> Obj:
    generator = resolve.load_generator(spec, prepares=not create.target)
    own = labels.labels(run=seen.name, run_uid=seen.uid, role=Role.LOAD, target=create.target, attempt=create.attempt)
    plan = child_name(seen.name, seen.uid, Role.LOAD_PLAN, create.target, create.attempt)
    mounts = [
        {"name": "plan", "mountPath": loadplan.PLAN_FOLDER, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # an emptyDir
    ]
    volumes: list[Obj] = [{"name": "plan", "configMap": {"name": plan}}, {"name": "tmp", "emptyDir": {}}]
    if (rows := datasets.volume(spec.workload.dataset)) is not None:
        mounts.append({"name": rows["name"], "mountPath": loadplan.DATASET_FOLDER, "readOnly": True})
        volumes.append(rows)
    env: list[Obj] = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for name, path in (("POD_NAME", "metadata.name"), ("POD_UID", "metadata.uid"))
    ]
    for volume, folder, variable, said in _secured(spec, target):
        if ca := said.ca:
            mounts.append({"name": volume, "mountPath": folder, "readOnly": True})
            volumes.append({"name": volume, "configMap": {"name": ca.name, "items": [{"key": ca.key, "path": ca.key}]}})
        if token := said.token_secret_ref:
            env.append({"name": variable, "valueFrom": {"secretKeyRef": token.document()}})
    if spec.workload.dataset.url is not None:
        env += [{"name": name, "value": value} for name, value in platform.proxy.items()]
    if (claim := _results_claim(spec)) and create.target:
        mounts.append({"name": "results", "mountPath": loadplan.RESULTS_FOLDER})
        volumes.append({"name": "results", "persistentVolumeClaim": {"claimName": claim}})
    container: Obj = {
        "name": labels.LOAD_CONTAINER,
        "image": platform.image,
        "args": ["loadgen", "--plan", f"{loadplan.PLAN_FOLDER}/{loadplan.PLAN_FILE}"],
        "env": env,
        "resources": _resources(generator),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    if platform.image_pull_policy:
        container["imagePullPolicy"] = platform.image_pull_policy
    ids = {"runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001} if platform.fixed_ids else {}
    pod_spec: Obj = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": LOAD_GRACE_SECONDS,
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, **ids, "seccompProfile": {"type": "RuntimeDefault"}},
        "tolerations": [
            {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}
            for taint in ("not-ready", "unreachable")
        ],
        "containers": [container],
        "volumes": volumes,
    }
    if generator.pods > 1:
        # Of the object that the API server takes first; a later try meets that one. No Secret: its right is not ours.
        env.append({"name": loadplan.SECRET_VARIABLE, "value": secrets.token_hex(SECRET_BYTES)})
        container["ports"] = [{"name": "lead", "containerPort": loadplan.LEADER_PORT}]
        pod_spec["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": _selector(seen, create, Role.LOAD)},
            }
        ]
        pod_spec["subdomain"] = child_name(seen.name, seen.uid, Role.LOAD_SERVICE, create.target, create.attempt)
    if generator.calibrate and create.target:
        pod_spec["initContainers"] = [_calibration_engine(container)]
    if target is not None and (guidellm := resolve.guidellm(spec, target)) is not None:
        beside_guidellm(pod_spec, container, guidellm)
    if generator.node_selector:
        pod_spec["nodeSelector"] = dict(generator.node_selector)
    annotations = {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "spec": {
            "completionMode": "Indexed",
            "completions": generator.pods,
            "parallelism": generator.pods,
            "backoffLimit": 0,  # a retry is a new attempt, with a new Job
            "podReplacementPolicy": "Failed",
            "template": {"metadata": {"labels": own, "annotations": annotations}, "spec": pod_spec},
        },
    }


def _results_claim(spec: BenchmarkRunSpec) -> str:
    """The claim on which every request is kept; empty where none is."""
    claim = spec.results.persistent_volume_claim if spec.results is not None else None
    return claim.claim_name if claim is not None else ""


def _calibration_engine(load: Obj) -> Obj:
    """A simulated engine beside the load generator. An init container that stays: it ends with the pod's work."""
    of_the_pod = ("image", "imagePullPolicy", "securityContext", "terminationMessagePolicy")
    where = ("--host", "127.0.0.1", "--port", str(loadplan.CALIBRATION_PORT))
    return {
        **{key: load[key] for key in of_the_pod if key in load},
        "name": "calibration",
        "restartPolicy": "Always",
        "args": ["simulate", *where, *loadplan.CALIBRATION_ENGINE],
        "resources": {"requests": {"cpu": "500m", "memory": "128Mi"}},
    }


def _resources(generator: resolve.ResolvedLoadGenerator) -> dict[str, dict[str, str]]:
    both = {"requests": dict(generator.requests), "limits": dict(generator.limits)}
    return {key: value for key, value in both.items() if value}


def _plan(seen: Observed, spec: BenchmarkRunSpec, create: Create, target: Target | None) -> LoadPlan:
    """What the load pod of a target does; without a target the pod only reads the data set."""
    workload, limits = resolve.resolve_workload(spec), resolve.timeouts(spec)
    common: dict[str, Any] = {
        "run_uid": seen.uid,
        "target": create.target,
        "attempt": create.attempt,
        "dataset": datasets.plan(spec.workload.dataset, create.dataset_digest),
        "prompt_reuse": workload.prompt_reuse,
        "shared_prefix_tokens": workload.shared_prefix_tokens,
        "duration_seconds": workload.duration_seconds,
        "max_requests": workload.max_requests,
        "ramp_seconds": workload.ramp_seconds,
        "warmup_max_seconds": workload.warmup_max_seconds,
        "seed": workload.dataset_seed,
        "model_download_seconds": limits.model_download_seconds,
        "model_download_stall_seconds": limits.model_download_stall_seconds,
        "verification_seconds": limits.verification_seconds,
        # The pod starts with its engine, which may wait for a node and its image: the operator gives up first there.
        "startup_seconds": limits.startup_seconds if target is not None and target.endpoint else ENGINE_WAIT_SECONDS,
        "point_bytes": min(
            MOST_POINT_BYTES, max(LEAST_POINT_BYTES, DATA_BYTES // max(1, len(spec.targets) * len(workload.points)))
        ),
    }
    request = RequestPlan(
        api=workload.api,
        max_output_tokens=workload.max_output_tokens,
        ignore_eos=target is not None and workload.length_policy == "AsPublished" and engine_of(target).ignores_eos,
        sampling=SamplingPlan(
            temperature=workload.temperature,
            top_p=workload.top_p,
            repetition_penalty=workload.repetition_penalty,
            seed=workload.seed,
        ),
        per_event_usage=workload.per_event_usage and (target is None or resolve.guidellm(spec, target) is None),
        extra_body_json=workload.extra_body_json,
    )
    if target is None:
        return LoadPlan(task="prepare", request=request, **common)
    engine, generator, guidellm = engine_of(target), resolve.load_generator(spec), resolve.guidellm(spec, target)
    return LoadPlan(
        url=_url(seen, create, target),
        access=_access(target.endpoint) if target.endpoint is not None else AccessPlan(),
        dialect=resolve.dialect(target),
        model=target.model,
        pull_model=engine.pulls_model,
        pull_without_tls=target.pulled_without_tls,
        slots=int(engine.asked(spec, target).get("numParallel", 0)),
        simulated=target.simulated is not None,
        prometheus=_prometheus(spec.monitoring.prometheus) if spec.monitoring is not None else None,
        engine_pod=child_name(seen.name, seen.uid, Role.ENGINE, create.target, create.attempt)
        if engine.deployed
        else "",
        request=request,
        processes=generator.processes,
        pods=generator.pods,
        leader=_leader(seen, create) if generator.pods > 1 else "",
        guidellm=GuideLlmPlan(version=guidellm.version, args=guidellm.args) if guidellm is not None else None,
        calibrate_url=f"http://127.0.0.1:{loadplan.CALIBRATION_PORT}" if generator.calibrate else "",
        requests_folder=f"{loadplan.RESULTS_FOLDER}/{seen.name}-{seen.uid[:8]}" if _results_claim(spec) else "",
        points=tuple(workload.points[index] for index in create.points),
        sweep=resolve.sweep(spec),
        stop_when=resolve.stop_when(spec),
        measured=create.measured,
        points_total=len(workload.points),
        **common,
    )


def _leader(seen: Observed, create: Create) -> str:
    """The host name of the first load pod: an Indexed Job calls it so."""
    job, service = (
        child_name(seen.name, seen.uid, role, create.target, create.attempt) for role in (Role.LOAD, Role.LOAD_SERVICE)
    )
    return f"{job}-0.{service}.{seen.namespace}.svc"


def _url(seen: Observed, create: Create, target: Target) -> str:
    if target.endpoint is not None:
        return target.endpoint.url or create.url
    service = child_name(seen.name, seen.uid, Role.SERVICE, create.target, create.attempt)
    return f"http://{service}.{seen.namespace}.svc:{engine_of(target).port(target)}"


def _secured(spec: BenchmarkRunSpec, target: Target | None) -> Iterator[tuple[str, str, str, Secured]]:
    """(volume, folder, variable, what the user says) of each server that may want a token or have a CA of its own."""
    if target is not None and target.endpoint is not None:
        yield CA_VOLUME, loadplan.CA_FOLDER, loadplan.TOKEN_VARIABLE, target.endpoint
    if target is not None and spec.monitoring is not None:
        folder, variable = loadplan.PROMETHEUS_CA_FOLDER, loadplan.PROMETHEUS_TOKEN_VARIABLE
        yield "prometheus-ca", folder, variable, spec.monitoring.prometheus


def _prometheus(said: Prometheus) -> PrometheusPlan:
    own = {"said_in": "monitoring.prometheus", "token_variable": loadplan.PROMETHEUS_TOKEN_VARIABLE}
    return PrometheusPlan(url=said.url, access=_access(said, loadplan.PROMETHEUS_CA_FOLDER, **own))


def _access(said: Secured, ca_folder: str = loadplan.CA_FOLDER, **own: str) -> AccessPlan:
    token, ca = said.token_secret_ref, said.ca
    return AccessPlan(
        token_from=f"key {token.key} of Secret {token.name}" if token is not None else "",
        ca_file=f"{ca_folder}/{ca.key}" if ca is not None else "",
        ca_from=f"key {ca.key} of ConfigMap {ca.name}" if ca is not None else "",
        verify_certificate=not (said.tls is not None and said.tls.insecure_skip_verify),
        **own,
    )
