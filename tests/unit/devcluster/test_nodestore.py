"""What is asked of a node's containerd before an image goes there, and how it goes."""

from pathlib import Path
from typing import IO

import pytest

from devcluster import nodestore, process
from devcluster.engine import Engine
from devcluster.screen import Screen

IMAGE = "docker.io/enginebench/made:1"
NODE = "enginebench-worker"


class Fake(Engine):
    """An engine whose node answers `ctr … list` with what it is given."""

    def __init__(self, answer: str = "") -> None:
        super().__init__(host="", own=False)
        object.__setattr__(self, "answer", answer)
        object.__setattr__(self, "asked", [])

    def docker(self, *words: str | Path, text: str | None = None) -> str:
        self.asked.append([str(word) for word in words])  # type: ignore[attr-defined]
        return self.answer  # type: ignore[attr-defined, no-any-return]


def asked(engine: Fake) -> list[list[str]]:
    return engine.asked  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(("answer", "there"), [(f"{IMAGE}\n", True), ("", False)])
def test_an_image_is_known_by_the_key_that_it_was_brought_with(answer: str, there: bool) -> None:
    engine = Fake(answer)
    assert nodestore.has_image(engine, IMAGE, "0123456789ab", NODE) is there
    assert asked(engine)[0][-1] == f'name=={IMAGE},labels."dev.enginebench.key"==0123456789ab'


def test_a_layer_is_known_by_its_digest() -> None:
    assert nodestore.holds(Fake("sha256:aa\n"), NODE, "sha256:aa")
    assert not nodestore.holds(Fake("sha256:ab\n"), NODE, "sha256:aa")
    assert not nodestore.holds(Fake(), NODE, "sha256:aa")


def test_an_image_is_imported_from_the_stream_and_then_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, fed = Fake(), []
    monkeypatch.setattr(process, "feed", lambda command, write, env: fed.append((command, write)))

    def write(out: IO[bytes]) -> None:
        out.write(b"archive")

    nodestore.receive_on_node(engine, IMAGE, "0123456789ab", NODE, write, Screen())
    ((command, writer),) = fed
    assert writer is write
    assert command[:4] == ["docker", "exec", "--interactive", NODE]
    assert "--base-name=docker.io/enginebench/made" in command
    assert command[-1] == "-"
    assert asked(engine)[-1][-3:] == ["label", IMAGE, "dev.enginebench.key=0123456789ab"]
