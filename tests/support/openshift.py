"""OpenShift's security context constraints, played by a MutatingAdmissionPolicy on a cluster that has none."""

import json

from tests.support.cluster import Cluster, Manifest, Namespace, eventually
from tests.support.pods import RESTRICTED

USER_ID = 1_000_680_000
"""From a namespace's range of IDs, as `restricted-v2` gives it; no image has a user of that number."""
LABEL = "enginebench.dev/random-ids"
_NAME = "enginebench-random-ids"

POLICY: Manifest = {
    "apiVersion": "admissionregistration.k8s.io/v1beta1",
    "kind": "MutatingAdmissionPolicy",
    "metadata": {"name": _NAME},
    "spec": {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {LABEL: "true"}},
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ],
        },
        "mutations": [
            {
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {
                    "expression": "Object{spec: Object.spec{securityContext: Object.spec.securityContext{"
                    f"runAsUser: {USER_ID}, runAsGroup: 0, fsGroup: {USER_ID}"
                    "}}}"
                },
            }
        ],
    },
}
BINDING: Manifest = {
    "apiVersion": "admissionregistration.k8s.io/v1beta1",
    "kind": "MutatingAdmissionPolicyBinding",
    "metadata": {"name": _NAME},
    "spec": {"policyName": _NAME},
}


PROBE: Manifest = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "random-ids"},
    "spec": {"containers": [{"name": "none", "image": "none", "securityContext": RESTRICTED}]},
}
"""What the namespace would let in; never created."""


def random_ids(cluster: Cluster, namespace: Namespace) -> None:
    """From now on every pod of the namespace gets `USER_ID`, group 0 and that file system group."""
    cluster.apply(POLICY, BINDING)
    cluster.kubectl("label", "namespace", namespace.name, f"{LABEL}=true", "--overwrite")
    dry_run = ("create", "--dry-run=server", "--filename=-", "--output=jsonpath={.spec.securityContext.runAsUser}")
    # The API server takes up a policy some time after it has it.
    eventually(
        lambda: namespace.kubectl(*dry_run, stdin=json.dumps(PROBE)) == str(USER_ID),
        within=60,
        what=f"pods of {namespace.name} with the user ID {USER_ID}",
    )
