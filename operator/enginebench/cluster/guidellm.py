"""GuideLLM in a load pod: a container of its own, which does what the load pod's program says."""

from enginebench.api.loadplan import AGENT_FILE, AGENT_SOCKET, EXCHANGE_FOLDER
from enginebench.api.resolve import FIRST_MEBIBYTES, PROCESS_MILLICORES, ResolvedGuideLlm
from enginebench.cluster import labels
from enginebench.cluster.api import Obj


def beside_guidellm(pod: Obj, load: Obj, guidellm: ResolvedGuideLlm) -> None:
    """Put GuideLLM's container beside `load`, and before it one that brings what runs in there.

    It is an init container that stays: it starts before the load, and ends with it. The run's resources are meant for
    it; the program beside it only waits, and warms the engine up.
    """
    exchange = {"name": "exchange", "mountPath": EXCHANGE_FOLDER}
    pod["volumes"].append({"name": "exchange", "emptyDir": {}})
    load["volumeMounts"].append(exchange)
    load["resources"] = {"requests": {"cpu": f"{PROCESS_MILLICORES}m", "memory": f"{FIRST_MEBIBYTES}Mi"}}
    of_the_load = ("image", "imagePullPolicy", "securityContext", "terminationMessagePolicy")
    bring: Obj = {
        **{key: load[key] for key in of_the_load if key in load},
        "name": "bring-agent",
        "args": ["guidellm-agent", f"{EXCHANGE_FOLDER}/{AGENT_FILE}"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "volumeMounts": [exchange],
    }
    both = {"requests": dict(guidellm.requests), "limits": dict(guidellm.limits)}
    container: Obj = {
        "name": labels.GUIDELLM_CONTAINER,
        "image": guidellm.image,
        "restartPolicy": "Always",
        "command": ["python3", f"{EXCHANGE_FOLDER}/{AGENT_FILE}", f"{EXCHANGE_FOLDER}/{AGENT_SOCKET}"],
        "workingDir": "/tmp",  # noqa: S108  # an emptyDir
        # Under a user ID that has no name nothing may ask for one.
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "USER", "value": "guidellm"}],  # noqa: S108  # the same
        "resources": {key: value for key, value in both.items() if value},
        "securityContext": load["securityContext"],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [exchange, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  # the same
    }
    pod["initContainers"] = [*pod.get("initContainers", ()), bring, container]
