"""Whose the files are that a container writes into a folder of this machine."""

import os

import pytest

from images.docker import Docker


@pytest.mark.parametrize(
    ("security", "user"),
    [
        ("[name=seccomp,profile=builtin name=rootless]", "0:0"),
        ("[name=seccomp,profile=default]", "1000:100"),
    ],
)
def test_they_are_the_callers(monkeypatch: pytest.MonkeyPatch, security: str, user: str) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 100)
    answers = {("info", "--format", "{{.SecurityOptions}}"): security}
    monkeypatch.setattr(Docker, "run", lambda _, *arguments: answers[arguments])
    assert Docker().as_caller() == f"--user={user}"
