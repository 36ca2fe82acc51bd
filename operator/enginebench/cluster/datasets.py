"""The data set as a load pod gets it: what is mounted for it, and what its plan says of it."""

from enginebench.api import loadplan
from enginebench.api.loadplan import DatasetPlan, DownloadPlan, SyntheticRows
from enginebench.api.resolve import inline_rows
from enginebench.api.v1alpha1 import Dataset
from enginebench.cluster.api import Obj

VOLUME = "dataset"


def volume(dataset: Dataset) -> Obj | None:
    """The pod's volume with the file, to be mounted read-only at `loadplan.DATASET_FOLDER`; None: there is none."""
    if dataset.config_map is not None:
        items = [{"key": dataset.config_map.key, "path": dataset.config_map.key}]
        return {"name": VOLUME, "configMap": {"name": dataset.config_map.name, "items": items}}
    if dataset.persistent_volume_claim is not None:
        # readOnly here too, not on the mount alone: else the kubelet gives all the user's files to our fsGroup.
        claim = {"claimName": dataset.persistent_volume_claim.claim_name, "readOnly": True}
        return {"name": VOLUME, "persistentVolumeClaim": claim}
    return None


def plan(dataset: Dataset, digest: str) -> DatasetPlan:
    """What the load pod is told; `digest` is what the rows must have, empty where it is not known yet."""
    if dataset.inline is not None:
        return DatasetPlan(rows=inline_rows(dataset.inline), digest=digest)
    if dataset.synthetic is not None:
        said = dataset.synthetic
        synthetic = SyntheticRows(
            rows=said.rows, prompt_tokens=said.prompt_tokens, output_tokens=said.output_tokens, seed=said.seed
        )
        return DatasetPlan(synthetic=synthetic, digest=digest)
    file, download = None, None
    if dataset.config_map is not None:
        file = f"{loadplan.DATASET_FOLDER}/{dataset.config_map.key}"
    elif dataset.persistent_volume_claim is not None:
        file = f"{loadplan.DATASET_FOLDER}/{dataset.persistent_volume_claim.path}"
    else:
        assert dataset.url is not None  # exactly one is set
        download = DownloadPlan(url=dataset.url.url, sha256=dataset.url.sha256)
    return DatasetPlan(
        file=file, download=download, format=dataset.format or "JSONL", source=dataset.file, digest=digest
    )
