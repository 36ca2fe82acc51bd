"""The contract on a real API server: what it refuses, in which words, and what of a run may change."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config
from pydantic import ValidationError

from enginebench.api.v1alpha1 import GROUP, KIND, PLURAL, VERSION, BenchmarkRun
from tests.support.badspecs import BadSpec, bad_specs, base
from tests.support.cluster import Cluster, Namespace
from tests.support.edits import Edit, edits, runs

ROOT = Path(__file__).resolve().parents[2]
CRD = yaml.safe_load((ROOT / "crds" / f"{GROUP}_{PLURAL}.yaml").read_text(encoding="utf-8"))
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
IMMUTABLE = "cannot be changed: delete the run and create it anew, or create another"


class RefusedError(Exception):
    """The API server said no; `causes` are its faults as (field, sentence)."""

    def __init__(self, status: dict[str, Any]) -> None:
        super().__init__(status["message"])
        causes = (status.get("details") or {}).get("causes") or []
        self.causes = [(cause.get("field", ""), cause["message"]) for cause in causes]


class Runs:
    """BenchmarkRuns of one namespace, sent as kubectl sends them: unknown fields are errors."""

    def __init__(self, api: client.CustomObjectsApi, namespace: str) -> None:
        self._api = api
        self._place = (GROUP, VERSION, namespace, PLURAL)

    def try_to_create(self, run: dict[str, Any]) -> dict[str, Any]:
        """The run as it would be stored."""
        return self._answer(self._api.create_namespaced_custom_object, run, dry_run=True)

    def create(self, run: dict[str, Any]) -> str:
        """Its name."""
        name: str = self._answer(self._api.create_namespaced_custom_object, run, dry_run=False)["metadata"]["name"]
        return name

    def patch(self, name: str, patch: list[dict[str, Any]], *, dry_run: bool) -> dict[str, Any]:
        call = partial(self._api.patch_namespaced_custom_object, _content_type="application/json-patch+json")
        return self._answer(call, name, patch, dry_run=dry_run)

    def _answer(self, call: Any, *what: Any, dry_run: bool) -> dict[str, Any]:
        options = {"dry_run": "All"} if dry_run else {}
        try:
            answer: dict[str, Any] = call(*self._place, *what, field_validation="Strict", **options)
        except client.ApiException as refusal:
            raise RefusedError(json.loads(str(refusal.body))) from refusal
        return answer


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[client.CustomObjectsApi]:
    connection = config.new_client_from_config(str(cluster.kubeconfig))  # type: ignore[no-untyped-call]  # has no types
    with connection:
        yield client.CustomObjectsApi(connection)


@pytest.fixture
def stored(api: client.CustomObjectsApi, namespace: Namespace) -> Runs:
    """Runs of this test's own namespace."""
    namespace.ours |= {f"{KIND.lower()}.{GROUP}/{run['metadata']['name']}" for run in (base(), *runs())}
    return Runs(api, namespace.name)


@pytest.fixture(scope="module")
def tried(api: client.CustomObjectsApi) -> Runs:
    """Runs that are only tried: nothing is stored, so any namespace will do."""
    return Runs(api, "default")


@pytest.mark.parametrize("case", bad_specs(), ids=lambda case: case.name)
def test_refused_with_field_and_words(tried: Runs, case: BadSpec) -> None:
    with pytest.raises(RefusedError) as refusal:
        tried.try_to_create(case.run)
    unknown = f'strict decoding error: unknown field "{case.server_field}"'
    if case.server_says == "unknown field":
        assert unknown in str(refusal.value)
        return
    said = [text for field, text in refusal.value.causes if field == case.server_field]
    assert any(case.server_says in text for text in said), refusal.value


def test_base_is_good(tried: Runs) -> None:
    created = tried.try_to_create(base())
    assert created["status"] == {"observedGeneration": -1}


def test_nothing_is_written_into_targets(tried: Runs) -> None:
    """Defaults below a list, or in what is inherited, would show as drift for ever."""
    run = base()
    created = tried.try_to_create(run)
    assert created["spec"]["targets"] == run["spec"]["targets"]
    assert created["spec"]["engineDefaults"] == run["spec"]["engineDefaults"]


def test_edits(stored: Runs, subtests: pytest.Subtests) -> None:
    """By JSON patch, as a dry run: each property changed, removed and added, each list reordered."""
    for run in runs():
        name = stored.create(run)
        with subtests.test(name):
            refused = [edit for edit in edits(run, SCHEMA) if _is_refused(stored, name, edit)]
            assert refused


def _is_refused(stored: Runs, name: str, edit: Edit) -> bool:
    """Whether it is refused because it may not be made; what the schema refuses anyway must be refused, too."""
    said = _said(stored, name, edit)
    if not _fits_the_schema(edit):
        assert said, f"{edit.what} was accepted"
        return False
    if edit.allowed:
        assert not said, f"{edit.what}: {said}"
        return False
    assert (edit.field, f'Invalid value: "object": {IMMUTABLE}') in said, f"{edit.what}: {said}"
    return True


def test_cancel_goes_one_way(stored: Runs) -> None:
    run = base()
    run["spec"]["suspend"] = True
    name = stored.create(run)
    cancel = "/spec/cancel"
    stored.patch(name, [{"op": "replace", "path": cancel, "value": True}], dry_run=False)
    for back in ({"op": "replace", "path": cancel, "value": False}, {"op": "remove", "path": cancel}):
        with pytest.raises(RefusedError, match=r"spec\.cancel: .*cannot be taken back: a cancelled run is over"):
            stored.patch(name, [back], dry_run=True)


def _said(stored: Runs, name: str, edit: Edit) -> list[tuple[str, str]]:
    try:
        stored.patch(name, edit.patch, dry_run=True)
    except RefusedError as refusal:
        return refusal.causes
    return []


def _fits_the_schema(edit: Edit) -> bool:
    try:
        BenchmarkRun.model_validate(edit.after)
    except ValidationError:
        return False
    return True
