"""The program that fetches models in an engine's image, with the real huggingface_hub, from a hub of our own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enginebench.api import loadplan
from enginebench.api.loadplan import DatasetPlan, FetchPlan, LoadPlan, RequestPlan
from enginebench.engines.fetch_pod import PROGRAMS, PROGRAMS_FOLDER, RUN, programs
from enginebench.fetcher import hub as program
from enginebench.fetcher.cache import UNFINISHED
from enginebench.results.frames import Decoder
from enginebench.results.messages import End, Failure, ModelReport, Progress
from tests.support.faulty import LARGE, running
from tests.support.hub import COMMIT, Hub

TOKEN = "hf_right"
WEIGHTS = 24 * 2**20
"""huggingface_hub writes 10 MiB at a time."""
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b'{"a": 1}',
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": bytes(range(256)) * (WEIGHTS // 256),
    "pytorch_model.bin": b"0" * LARGE,
    "original/consolidated.00.pth": b"1" * LARGE,
}
TAKEN = ("config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    for name, data in FILES.items():
        (folder / "tiny" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tiny" / name).write_bytes(data)
    with running(Hub(folder, TOKEN, rate=1e6)) as server:
        assert isinstance(server, Hub)
        yield server


class Pod:
    """A fetch pod: only the files that travel in the plan's ConfigMap, and an image with huggingface_hub."""

    def __init__(self, folder: Path, url: str) -> None:
        self.home = folder / "models"
        self._url = url
        self._programs = folder / "programs"
        for key, text in programs().items():
            path = self._programs / "enginebench" / PROGRAMS[key]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._plan = folder / "plan.json"

    def start(
        self, model: str, *, token: str = "", env: dict[str, str] | None = None, **plan: Any
    ) -> "subprocess.Popen[bytes]":
        said = LoadPlan(
            run_uid="u", target="v", attempt=1, task="fetch", model=model, claim="models", dataset=DatasetPlan(),
            request=RequestPlan(max_output_tokens=1), **{"fetch": FetchPlan(), **plan},
        )  # fmt: skip
        self._plan.write_bytes(loadplan.encode(said))
        known = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        variables = {**known, "HF_ENDPOINT": self._url, "HF_HOME": str(self.home)}
        if token:
            variables["HF_TOKEN"] = token
        return subprocess.Popen(
            [sys.executable, "-c", RUN.replace(PROGRAMS_FOLDER, str(self._programs)), str(self._plan)],
            env={**variables, "HF_HUB_DOWNLOAD_TIMEOUT": "2", **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def fetch(self, model: str, **settings: Any) -> list[Any]:
        """All that it says until its end; then it is told to go."""
        said, decoder = [], Decoder()
        with self.start(model, **settings) as process:
            assert process.stdout is not None
            for line in process.stdout:
                spoken = decoder.feed(line)
                if spoken is not None:
                    said.append(spoken.message)
                if said and isinstance(said[-1], End):
                    break
            process.send_signal(signal.SIGTERM)
            _, self.noise = process.communicate(timeout=20)
        assert process.returncode == 0, self.noise
        return said

    def snapshot(self, model: str) -> Path:
        return self.home / "hub" / f"models--{model.replace('/', '--')}" / "snapshots" / COMMIT


@pytest.fixture
def pod(tmp_path: Path, hub: Hub) -> Pod:
    hub.asked.clear()
    return Pod(tmp_path, hub.url)


def failure(said: list[Any]) -> Failure:
    (found,) = (message for message in said if isinstance(message, ModelReport | Failure))
    assert isinstance(found, Failure), found
    return found


def report(said: list[Any]) -> ModelReport:
    (found,) = (message for message in said if isinstance(message, ModelReport | Failure))
    assert isinstance(found, ModelReport), found
    return found


def test_what_the_engine_takes_is_fetched_and_the_second_time_nobody_is_asked(hub: Hub, pod: Pod) -> None:
    found = report(pod.fetch("good/tiny"))
    size = sum(len(FILES[name]) for name in TAKEN)
    assert found.bytes == size
    assert found.seconds > 0
    assert found.message.startswith("good/tiny is on claim models: 0.03 GB, ")
    here = {str(p.relative_to(pod.snapshot("good/tiny"))) for p in pod.snapshot("good/tiny").rglob("*") if p.is_file()}
    assert here == set(TAKEN)
    hub.asked.clear()
    again = report(pod.fetch("good/tiny"))
    assert (again.seconds, again.bytes) == (0.0, size)
    assert found.digest == again.digest == f"commit:{COMMIT}"
    assert again.message == "good/tiny is on claim models already."
    assert hub.asked == []


def test_bytes_are_told_with_their_rate(pod: Pod) -> None:
    said = pod.fetch("slow/tiny")
    told = [m for m in said if isinstance(m, Progress) and m.bytes_total]
    assert report(said).bytes == told[-1].bytes_total
    assert [m.bytes_done or 0 for m in told] == sorted(m.bytes_done or 0 for m in told)
    assert any(0 < (m.bytes_done or 0) < (m.bytes_total or 0) for m in told)
    assert any(m.bytes_per_second and m.remaining_seconds is not None for m in told)
    assert "downloading slow/tiny to claim models: 0.0" in told[-1].message


def test_a_token_opens_what_is_private(pod: Pod) -> None:
    assert report(pod.fetch("private/tiny", token=TOKEN, fetch=FetchPlan(token_from="key token of Secret hf")))


@pytest.mark.parametrize(
    ("model", "token", "reason", "words"),
    [
        ("private/tiny", "", "ModelNotFound", "or it is private and asks for a token: name its Secret in vllm.tokenSecretRef"),
        ("private/tiny", "hf_wrong", "ModelAccessDenied", "key token of Secret hf does not let us have"),
        ("gated/tiny", "", "ModelAccessDenied", "is gated: accept its terms on its page"),
        ("denied/tiny", TOKEN, "ModelAccessDenied", "the account of the key token of Secret hf"),
        ("good/none", TOKEN, "ModelNotFound", "no good/none that the key token of Secret hf may see"),
        ("failing/tiny", "", "ModelPullFailed", "500"),
        ("corrupt/tiny", "", "ModelCorrupt", "is not what the hub names by its SHA-256, and was removed: model.safetensors"),
        ("hollow/tiny", "", "ModelPullFailed", "404"),
    ],
)  # fmt: skip
def test_why_it_does_not_come_is_told_with_its_cure(model: str, token: str, reason: str, words: str, pod: Pod) -> None:
    fetch = FetchPlan(token_from="key token of Secret hf") if token else FetchPlan()
    found = failure(pod.fetch(model, token=token, fetch=fetch))
    assert found.reason == reason, found.message
    assert words in found.message
    assert found.message.endswith(".")
    assert not token or token not in found.message + pod.noise.decode()


def test_a_name_that_is_none_is_told(pod: Pod) -> None:
    assert failure(pod.fetch("good/../tiny")).reason == "ModelNotFound"


def test_a_revision_that_is_not_there_is_told(pod: Pod) -> None:
    found = failure(pod.fetch("good/tiny", fetch=FetchPlan(revision="v9")))
    assert (found.reason, "has no such revision" in found.message) == ("ModelNotFound", True)


def test_a_download_that_stands_still_is_given_up_and_goes_on_where_it_was(hub: Hub, pod: Pod) -> None:
    found = failure(pod.fetch("stalled/tiny", env={"HF_HUB_DOWNLOAD_TIMEOUT": "60"}, model_download_stall_seconds=3))
    assert found.reason == "ModelPullStalled"
    assert "no byte came for 3 s (spec.timeouts.modelDownloadStallSeconds)" in found.message
    cache = pod.snapshot("stalled/tiny").parent.parent
    assert (cache / UNFINISHED).exists()


def test_a_download_that_takes_too_long_is_given_up(pod: Pod) -> None:
    found = failure(pod.fetch("slow/tiny", model_download_seconds=2))
    assert found.reason == "ModelPullTimeout"
    assert "was not there after 2 s (spec.timeouts.modelDownloadSeconds)" in found.message


def test_what_a_fetch_left_unfinished_is_not_taken_for_whole(hub: Hub, pod: Pod) -> None:
    report(pod.fetch("good/tiny"))
    cache = pod.snapshot("good/tiny").parent.parent
    (cache / UNFINISHED).touch()
    (pod.snapshot("good/tiny") / "chat_template.jinja").unlink()
    hub.asked.clear()
    assert report(pod.fetch("good/tiny")).seconds > 0
    assert hub.asked
    assert (pod.snapshot("good/tiny") / "chat_template.jinja").read_bytes() == FILES["chat_template.jinja"]
    assert not (cache / UNFINISHED).exists()


def test_what_is_not_as_the_hub_has_named_it_is_removed_and_comes_again(pod: Pod) -> None:
    report(pod.fetch("good/tiny"))
    weights = pod.snapshot("good/tiny") / "model.safetensors"
    blob = weights.resolve()
    with blob.open("r+b") as file:
        file.write(b"wrong")
    (weights.parents[2] / UNFINISHED).touch()
    found = failure(pod.fetch("good/tiny"))
    assert found.reason == "ModelCorrupt"
    assert found.message.endswith("and run again: it is fetched anew.")
    assert not blob.exists()
    assert not weights.is_symlink()
    assert report(pod.fetch("good/tiny")).digest == f"commit:{COMMIT}"
    assert weights.read_bytes() == FILES["model.safetensors"]


def test_a_cache_that_others_have_filled_is_enough_without_a_way_out(hub: Hub, pod: Pod) -> None:
    report(pod.fetch("good/tiny"))
    offline = Pod(pod.home.parent, "http://127.0.0.1:9")
    assert report(offline.fetch("good/tiny")).seconds == 0
    index = pod.snapshot("good/tiny") / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}))
    assert failure(offline.fetch("good/tiny")).reason == "ModelPullFailed"


def test_where_nobody_may_be_asked_that_is_told(pod: Pod) -> None:
    found = failure(pod.fetch("good/tiny", env={"HF_HUB_OFFLINE": "1"}))
    assert (found.reason, "offline" in found.message.lower()) == ("ModelPullFailed", True)


def test_weights_go_where_the_engine_looks_for_them(pod: Pod, tmp_path: Path) -> None:
    elsewhere = FetchPlan(weights_folder=str(tmp_path / "weights"))
    report(pod.fetch("good/tiny", fetch=elsewhere))
    assert not (pod.snapshot("good/tiny") / "model.safetensors").exists()
    assert (tmp_path / "weights" / "models--good--tiny" / "snapshots" / COMMIT / "model.safetensors").exists()
    assert report(pod.fetch("good/tiny", fetch=elsewhere)).seconds == 0


def test_other_formats_are_fetched_where_the_engine_is_told_to_take_them(pod: Pod) -> None:
    report(pod.fetch("good/tiny", fetch=FetchPlan(all_weights=True)))
    assert (pod.snapshot("good/tiny") / "pytorch_model.bin").exists()
    assert not (pod.snapshot("good/tiny") / "original").exists()


def test_a_folder_needs_nobody(hub: Hub, pod: Pod, tmp_path: Path) -> None:
    shutil.copytree(hub.folder / "tiny", tmp_path / "here")
    found = report(pod.fetch(str(tmp_path / "here")))
    assert (found.seconds, found.bytes) == (0.0, sum(map(len, FILES.values())))
    assert re.fullmatch("sha256:[0-9a-f]{64}", found.digest)
    missing = failure(pod.fetch(str(tmp_path / "there")))
    assert missing.reason == "ModelNotFound"
    assert "modelCache (claim models) is mounted at /models" in missing.message
    (tmp_path / "here" / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}')
    assert "lacks files of weights that its index names" in failure(pod.fetch(str(tmp_path / "here"))).message
    assert hub.asked == []


def test_a_full_volume_is_told_before_a_byte_comes(hub: Hub, pod: Pod) -> None:
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root alone")
    pod.home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", pod.home], check=True)
    try:
        found = failure(pod.fetch("good/tiny"))
    finally:
        subprocess.run(["umount", pod.home], check=True)
    assert found.reason == "ModelCacheFull"
    assert "and claim models has 0.00 GB free" in found.message
    assert not any("safetensors" in asked for asked in hub.asked)


def test_told_to_stop_it_stops_and_leaves_what_is_there(pod: Pod) -> None:
    decoder, stopped = Decoder(), 0.0
    said: list[Any] = []
    with pod.start("stalled/tiny", env={"HF_HUB_DOWNLOAD_TIMEOUT": "60"}) as process:
        assert process.stdout is not None
        for line in process.stdout:
            spoken = decoder.feed(line)
            said += [spoken.message] if spoken is not None else []
            if not stopped and said and getattr(said[-1], "bytes_done", None):
                process.send_signal(signal.SIGTERM)
                stopped = time.monotonic()
        assert process.wait(20) == 0
    assert time.monotonic() - stopped < 10
    assert failure(said).reason == "Interrupted"
    assert any((pod.home / "hub" / "models--stalled--tiny" / "blobs").iterdir())


CHECKS = """
import json, time
for document in [{"blobs": {"/tmp": {"a": 1}}}, *({"checked": 10**9} for _ in range(8)), {"done": True}]:
    print(json.dumps(document), flush=True)
    time.sleep(0.25)
"""


def test_reading_again_what_has_come_is_no_standstill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "DOWNLOAD", (sys.executable, "-c", CHECKS))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    plan = {"model": "org/m", "claim": "models", "modelDownloadStallSeconds": 1}
    with (tmp_path / "said").open("wb") as out:
        pod = program.Fetch(plan, out.fileno())
        pod._say("model", pod._download())
    said, decoder = [], Decoder()
    for line in (tmp_path / "said").read_bytes().splitlines(keepends=True):
        said += [spoken.message for spoken in [decoder.feed(line)] if spoken is not None]
    assert report(said).seconds > 1
    assert any(
        m.message.endswith("; reading it again for its SHA-256, 1.00 GB so far")
        for m in said
        if isinstance(m, Progress)
    )


def test_its_patience_is_that_of_the_plan() -> None:
    plan = LoadPlan(run_uid="u", target="v", attempt=1, dataset=DatasetPlan(), request=RequestPlan(max_output_tokens=1))
    assert plan.model_download_seconds == program.LIMIT_SECONDS
    assert plan.model_download_stall_seconds == program.STALL_SECONDS
