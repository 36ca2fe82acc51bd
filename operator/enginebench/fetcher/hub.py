"""`enginebench.fetcher.hub PLAN`: brings a model of Hugging Face into the cache that an engine reads.

Runs in the engine's image, with its variables and volumes. Speaks in frames as a load pod does, then waits to be told
to go. What the cache holds already is not asked for: nothing goes to the internet then.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, time
from typing import Any

from enginebench.fetcher.cache import Cache, has_weights, is_model, size_of
from enginebench.fetcher.digests import folder_digest
from enginebench.results.lines import lines
from enginebench.results.transfer import Transfer, in_words

BEAT_SECONDS = 1.0
STAY_SECONDS = 600.0
"""After the end the pod stays until it is told to go: so long its log can be read."""
LIMIT_SECONDS, STALL_SECONDS = 7200, 180
"""The plan's defaults, which it does not spell out."""
END_SECONDS = 5.0
"""The download gets so long to end by itself."""
PROGRAMS = str(Path(__file__).parents[2])
DOWNLOAD = (sys.executable, "-m", "enginebench.fetcher.download")

Json = dict[str, Any]


class GaveUp(Exception):  # noqa: N818  # named for what happened
    """The model does not come: a stable reason, and what is wrong and what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Fetch:
    """One fetch pod's work."""

    def __init__(self, plan: Json, descriptor: int, *, stay: float = STAY_SECONDS) -> None:
        self._plan = plan
        self._model: str = plan["model"]
        self._said: Json = plan.get("fetch") or {}
        self._descriptor = descriptor
        self._limit = plan.get("modelDownloadSeconds", LIMIT_SECONDS)
        self._stall = plan.get("modelDownloadStallSeconds", STALL_SECONDS)
        self._stay = stay
        self._seq = 0
        self._told = threading.Event()
        """To stop."""

    def run(self) -> None:
        """Work, say the end, and stay."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._told.set())
        self._progress("looking at the cache")
        try:
            self._say("model", self._fetched())
        except GaveUp as reason:
            self._say("failure", {"reason": reason.reason, "message": str(reason)})
        except OSError as error:
            words = f"Claim {self._claim}: {error.filename or ''}: {os.strerror(error.errno or 0)}."
            self._say("failure", {"reason": "ModelPullFailed", "message": words})
        self._say("end", {"points": 0})
        self._told.wait(self._stay)

    def _fetched(self) -> Json:
        folder = Path(self._model)
        if self._model.startswith("/") or folder.is_dir():
            return self._folder(folder)
        if (snapshot := self._cached()) is not None:
            words = f"{self._model} is on claim {self._claim} already."
            return {"bytes": size_of(snapshot), "digest": self._commit(), "message": words}
        return self._download()

    def _folder(self, folder: Path) -> Json:
        where = f"vllm.model: {folder}"
        if not folder.exists():
            raise GaveUp(
                "ModelNotFound",
                f"{where} is not there; modelCache (claim {self._claim}) is mounted at /models. Put the model into that "
                "folder, or correct its name.",
            )
        if folder.is_dir():
            unread = [path.name for path in sorted(folder.iterdir()) if path.is_file() and not os.access(path, os.R_OK)]
            if unread:
                who = f"user {os.getuid()} (groups {', '.join(map(str, os.getgroups()))})"
                cure = "Have everyone read them (chmod a+r)."
                raise GaveUp("ModelPullFailed", f"{where} has files that {who} may not read: {unread[0]}. {cure}")
            if list(folder.glob("*.index.json")) and not has_weights(folder):
                words = "lacks files of weights that its index names. Copy the model again, all of it."
                raise GaveUp("ModelNotFound", f"{where} {words}")
        return {
            "bytes": size_of(folder) if folder.is_dir() else folder.stat().st_size,
            "digest": folder_digest(folder, lambda name: self._progress(f"reading {name} for the model's digest")),
            "message": f"{folder} is there.",
        }

    # The cache

    @property
    def _claim(self) -> str:
        return str(self._plan.get("claim", ""))

    def _roots(self) -> tuple[Path, Path]:
        """Where the engine looks for the weights, and for the rest."""
        home = Path(os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser())
        rest = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or home / "hub"
        return Path(self._said.get("weightsFolder") or rest), Path(rest)

    @property
    def _revision(self) -> str:
        return self._said.get("revision") or "main"

    def _commit(self) -> str:
        """What the revision is in the cache; of the weights and of the rest, where these are not of one."""
        folders = [Cache(root, self._model).snapshot(self._revision) for root in self._roots()]
        commits = dict.fromkeys(folder.name for folder in folders if folder is not None)
        return f"commit:{'+'.join(commits)}" if commits else ""

    def _cached(self) -> Path | None:
        """The model's folder in the cache, where it is whole."""
        weights, rest = (Cache(root, self._model) for root in self._roots())
        if not (weights.finished and rest.finished):
            return None
        heavy, light = weights.snapshot(self._revision), rest.snapshot(self._revision)
        if heavy is None or light is None or not has_weights(heavy):
            return None
        return heavy if heavy != light or is_model(light) else None

    def _download(self) -> Json:
        began, transfer = monotonic(), Transfer()
        heard: queue.Queue[Json | None] = queue.Queue()
        paths = filter(None, (os.environ.get("PYTHONPATH"), PROGRAMS))  # the image may have its packages there
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        with subprocess.Popen(
            DOWNLOAD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            threading.Thread(target=_listen, args=(process, heard), daemon=True).start()
            try:
                assert process.stdin is not None  # piped
                with contextlib.suppress(BrokenPipeError), process.stdin:
                    json.dump(self._plan, process.stdin)
                return self._watch(heard, process, transfer, began)
            finally:
                _end(process)

    def _watch(
        self,
        heard: "queue.Queue[Json | None]",
        process: "subprocess.Popen[str]",
        transfer: Transfer,
        began: float,
    ) -> Json:
        blobs: dict[str, dict[str, int]] = {}
        checked, checked_at = 0, began
        while True:
            now = monotonic()
            done, total = _bytes(blobs, self._model)
            transfer.note(now, done)
            self._tell(transfer, done, total if blobs else None, checked)
            if self._told.is_set():
                raise GaveUp("Interrupted", "The fetch pod was told to stop before the model was there.")
            if now - began >= self._limit:
                raise GaveUp(
                    "ModelPullTimeout",
                    f"{self._model} was not there after {self._limit} s (spec.timeouts.modelDownloadSeconds): "
                    f"{in_words(done, total or None, None, None)} are. What is there stays on claim {self._claim}: run "
                    "again, or raise the time.",
                )
            if now - max(transfer.moved_at or began, checked_at) >= self._stall:
                raise GaveUp(
                    "ModelPullStalled",
                    f"The download of {self._model} stands still: no byte came for {self._stall} s "
                    f"(spec.timeouts.modelDownloadStallSeconds), "
                    f"{in_words(done, total or None, None, None)} are there. Look at the way to Hugging Face from this "
                    "namespace, and run again: what is there stays.",
                )
            try:
                document = heard.get(timeout=BEAT_SECONDS)
            except queue.Empty:
                continue
            if document is None:
                raise GaveUp("ModelPullFailed", _end_of(process, self._model))
            if "reason" in document:
                raise GaveUp(document["reason"], self._with_cure(document))
            if "done" in document:
                seconds = round(monotonic() - began, 1)
                words = f"{self._model} is on claim {self._claim}: {_bytes(blobs, self._model)[0] / 1e9:.2f} GB, {seconds} s."
                return {"seconds": seconds, "bytes": total, "digest": self._commit(), "message": words}
            if "checked" in document:
                checked, checked_at = document["checked"], monotonic()
                continue
            blobs = document["blobs"]
            self._room_for(blobs)

    def _room_for(self, blobs: dict[str, dict[str, int]]) -> None:
        """What is still to come must fit; a file system that does not tell is tried."""
        for root, sizes in blobs.items():
            path = Path(root)
            while not path.exists():
                path = path.parent
            stat = os.statvfs(path)
            missing = sum(sizes.values()) - Cache(Path(root), self._model).bytes_of(sizes)
            free = stat.f_bavail * stat.f_frsize
            if stat.f_blocks and missing > free:
                raise GaveUp(
                    "ModelCacheFull",
                    f"{self._model} needs {missing / 1e9:.2f} GB more, and claim {self._claim} has {free / 1e9:.2f} GB "
                    "free. Make room on it, or take a larger one.",
                )

    def _with_cure(self, document: Json) -> str:
        cures = {
            "ModelNotFound": "Correct vllm.model (or --revision in vllm.args).",
            "ModelAccessDenied": "Then run again.",
            "ModelCorrupt": "Look what stands between (a mirror, a caching proxy), and run again: it is fetched anew.",
            "ModelCacheFull": f"Make room on claim {self._claim}, or take a larger one.",
            "ModelPullFailed": f"Look at the way to Hugging Face from this namespace, and at claim {self._claim}; where "
            "there is no way, put the model onto the claim beforehand.",
        }
        words: str = document["message"]
        return f"vllm.model: {words.rstrip('.')}. {cures.get(document['reason'], '')}".strip()

    # What it says

    def _tell(self, transfer: Transfer, done: int, total: int | None, checked: int) -> None:
        rate, left = transfer.bytes_per_second, transfer.remaining_seconds(total)
        how_far = in_words(done, total, rate, left) if total is not None else "asking what there is"
        if checked:
            how_far += f"; reading it again for its SHA-256, {checked / 1e9:.2f} GB so far"
        self._progress(
            f"downloading {self._model} to claim {self._claim}: {how_far}",
            **({"bytesDone": done, "bytesTotal": total} if total is not None else {}),
            **({"bytesPerSecond": rate} if rate is not None and total is not None else {}),
            **({"remainingSeconds": left} if left is not None else {}),
        )

    def _progress(self, words: str, **more: int) -> None:
        self._say("progress", {"stage": "DownloadingModel", "message": words, "at": time(), **more})

    def _say(self, stream: str, document: Json) -> None:
        for line in lines(self._seq, stream, json.dumps(document).encode()):
            os.write(self._descriptor, line)
        self._seq += 1


def _listen(process: "subprocess.Popen[str]", heard: "queue.Queue[Json | None]") -> None:
    assert process.stdout is not None  # piped
    for line in process.stdout:
        heard.put(json.loads(line))
    heard.put(None)


def _bytes(blobs: dict[str, dict[str, int]], model: str) -> tuple[int, int]:
    """(here, in all)."""
    done = sum(Cache(Path(root), model).bytes_of(sizes) for root, sizes in blobs.items())
    return done, sum(sum(sizes.values()) for sizes in blobs.values())


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _end_of(process: "subprocess.Popen[str]", model: str) -> str:
    """It ended without a word."""
    code = process.wait()
    if code == -signal.SIGKILL:
        return f"The download of {model} was killed, for lack of memory most likely. Raise resources.limits.memory."
    return f"The download of {model} broke off (exit code {code}); the pod's log may say more. Run again."


def main(argv: list[str]) -> int:
    """Exit code 0 whatever came of it: what went wrong is said in a frame."""
    plan: Json = json.loads(Path(argv[0]).read_bytes())
    own = os.dup(1)
    os.dup2(2, 1)  # standard output is for frames alone
    Fetch(plan, own).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
