"""Who tells of the GPUs: what the load pod is given to ask it."""

import msgspec

from enginebench.api.loadplan import AccessPlan, PrometheusPlan
from enginebench.workflow.observed import Role
from tests.unit.cluster.made import made, plan

FROM_MONITORING = AccessPlan(
    said_in="monitoring.prometheus",
    token_variable="ENGINEBENCH_PROMETHEUS_TOKEN",  # a name
)


def test_plan_of_a_run_that_is_monitored() -> None:
    text = "monitoring: {prometheus: {url: 'http://prometheus:9090'}}"
    made_plan = plan(text)
    assert made_plan.prometheus == PrometheusPlan(url="http://prometheus:9090", access=FROM_MONITORING)
    assert made_plan.engine_pod == made(Role.ENGINE)["metadata"]["name"]
    assert plan().prometheus is None
    endpoint = "targets: [{name: e, endpoint: {url: 'http://llm.other:80/x', model: m}}]"
    assert plan(endpoint, target="e").engine_pod == ""


def test_a_prometheus_behind_a_token_with_a_ca_of_its_own() -> None:
    text = """
        monitoring:
          prometheus:
            url: https://thanos-querier.openshift-monitoring.svc:9091
            tokenSecretRef: {name: gpu-reader, key: token}
            tls: {caConfigMapRef: {name: openshift-service-ca.crt, key: service-ca.crt}}
        """
    pod = made(Role.LOAD, text)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    key = {"name": "gpu-reader", "key": "token"}
    token = {"name": "ENGINEBENCH_PROMETHEUS_TOKEN", "valueFrom": {"secretKeyRef": key}}
    assert token in container["env"]
    [mount] = [m for m in container["volumeMounts"] if m["name"] == "prometheus-ca"]
    assert mount == {"name": "prometheus-ca", "mountPath": "/etc/enginebench-prometheus-ca", "readOnly": True}
    [volume] = [v for v in pod["volumes"] if v["name"] == "prometheus-ca"]
    items = [{"key": "service-ca.crt", "path": "service-ca.crt"}]
    assert volume["configMap"] == {"name": "openshift-service-ca.crt", "items": items}
    made_plan = plan(text)
    assert made_plan.prometheus is not None
    assert made_plan.prometheus.access == msgspec.structs.replace(
        FROM_MONITORING,
        token_from="key token of Secret gpu-reader",
        ca_file="/etc/enginebench-prometheus-ca/service-ca.crt",
        ca_from="key service-ca.crt of ConfigMap openshift-service-ca.crt",
    )
    prepares = made(Role.LOAD, text, target="")["spec"]["template"]["spec"]
    assert "PROMETHEUS" not in str(prepares)
