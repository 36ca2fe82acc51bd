"""A token is in no frame and on no log, whatever a server repeats of it."""

import asyncio
import os
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.api import loadplan
from enginebench.api.loadplan import PROMETHEUS_TOKEN_VARIABLE, TOKEN_VARIABLE, LoadPlan, PrometheusPlan
from enginebench.loadgen.discretion import HIDDEN, clean, without_token
from enginebench.loadgen.speaker import Speaker
from enginebench.results.frames import Decoder
from enginebench.results.messages import End, EngineReport, Failure, SpokenMessage
from enginebench.results.point_report import PointReport
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.servers import API, Asked, Client, Handler, one_token, serving
from tests.unit.loadgen.tls import Authority

TOKEN = "sk-4711-abcdefghijklmnop"
OTHER = "sha256~qrstuvwx"
OPERATOR = Path(__file__).parents[3] / "operator"


@given(st.text("ab1-", min_size=1, max_size=20), st.data())
def test_nothing_of_a_token_is_left(token: str, data: st.DataObject) -> None:
    """Neither the whole, nor eight characters of its beginning, wherever a text was cut."""
    part = st.integers(min(8, len(token)), len(token)).map(lambda length: token[:length])
    text = "".join(data.draw(st.lists(st.one_of(st.just(token), part, st.text("ab1- ", max_size=5)), max_size=8)))
    assert token[:8] not in without_token(text, token)


def test_what_is_no_token_stays() -> None:
    text = "model sk-4711 of 3 users"
    assert without_token(text, TOKEN) == text
    assert without_token(text, "") == text
    assert without_token(f"key {TOKEN}, not {TOKEN[:12]}…", TOKEN) == f"key {HIDDEN}, not {HIDDEN}…"


def test_every_text_of_a_message_is_cleaned() -> None:
    report = EngineReport(served_model=f"m-{TOKEN}", effective={"a": TOKEN, "b": 3, "c": True})
    assert clean(report, TOKEN) == EngineReport(served_model=f"m-{HIDDEN}", effective={"a": HIDDEN, "b": 3, "c": True})
    errors = {f"no {TOKEN}": 2, f"no {TOKEN[:10]}": 3, "other": 1}
    assert clean(errors, TOKEN) == {f"no {HIDDEN}": 5, "other": 1}


def test_words_on_the_log_are_cleaned(capfd: pytest.CaptureFixture[str]) -> None:
    Speaker(1, TOKEN, OTHER).complain(f"Traceback: {TOKEN}, {OTHER}")
    assert capfd.readouterr().err == f"Traceback: {HIDDEN}, {HIDDEN}\n"


def repeating(after: int) -> Handler:
    """Serves `tiny`, answers so many completions, and then refuses with the token in its words, cut and whole."""

    async def handler(asked: Asked, client: Client) -> None:
        nonlocal after
        shown = asked.headers["authorization"].removeprefix("Bearer ").encode()
        if asked.path == "/v1/models" and after >= 0:
            await client.reply(b'{"data":[{"id":"tiny"}]}')
        elif asked.path == "/version":
            await client.reply(b'{"version":"%b"}' % shown)
        elif asked.method == "POST" and after > 0:
            after -= 1
            await client.stream(one_token().replace(b'"m"', b'"tiny"'))
        else:
            words = b"Received API Key %b. %b %b" % (shown, b"x" * 155, shown)  # cut in the middle of the second one
            await client.reply(b'{"error":{"message":"%b"}}' % words, 401)

    return handler


async def ran(what: LoadPlan, folder: Path, variable: str = TOKEN_VARIABLE) -> tuple[list[SpokenMessage], bytes]:
    """All that a load pod says: its messages, and everything that is on its log."""
    file = folder / "plan.json"
    file.write_bytes(loadplan.encode(what))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "enginebench", "loadgen", "--plan", str(file),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(OPERATOR), variable: f"{TOKEN}\n"},
    )  # fmt: skip
    assert process.stdout is not None
    decoder, messages, log = Decoder(), [], b""
    async with asyncio.timeout(60):
        async for line in process.stdout:
            log += line
            if (spoken := decoder.feed(line)) is not None:
                messages.append(spoken.message)
                log += spoken.payload
                if isinstance(spoken.message, End):
                    process.terminate()
        await process.wait()
    return messages, log


@pytest.mark.parametrize(
    ("after", "reason"),
    [(-1, "Unauthorized"), (0, "Unauthorized"), (1, ""), (5, "")],
    ids=["models", "first completion", "load", "later"],
)
async def test_a_server_that_repeats_the_token_in_its_errors(after: int, reason: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with serving(repeating(after), tls=authority.context()) as server:
        access = msgspec.structs.replace(authority.access, token_from="key k of Secret s")
        messages, log = await ran(plan(server.url, api=API, access=access), tmp_path)
    assert TOKEN[:8].encode() not in log
    assert HIDDEN.encode() in log
    failures = [message for message in messages if isinstance(message, Failure)]
    assert [failure.reason for failure in failures] == ([reason] if reason else [])
    for point in (message for message in messages if isinstance(message, PointReport)):
        assert all(error.startswith(f"HTTP 401: Received API Key {HIDDEN}. x") for error in point.evidence.errors)
        assert point.requests.errored
    assert authority.ca.cert_pem.bytes() not in log


async def test_a_prometheus_that_repeats_its_token(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def echo(asked: Asked, client: Client) -> None:
        await client.reply(b"who is %b?" % asked.headers["authorization"].encode(), 401)

    async with serving(echo, tls=authority.context()) as prometheus, serving(one_answer) as server:
        access = msgspec.structs.replace(
            authority.access, token_from="key k of Secret s", token_variable=PROMETHEUS_TOKEN_VARIABLE
        )
        told = PrometheusPlan(url=prometheus.url, access=access)
        messages, log = await ran(
            plan(server.url, api=API, prometheus=told, engine_pod="e"), tmp_path, PROMETHEUS_TOKEN_VARIABLE
        )
    assert TOKEN[:8].encode() not in log
    (point,) = (message for message in messages if isinstance(message, PointReport))
    assert point.gpu_state is not None
    assert point.gpu_state.unobserved == f"Prometheus cannot be asked: HTTP 401: who is Bearer {HIDDEN}?"


async def one_answer(asked: Asked, client: Client) -> None:
    """Serves `tiny`."""
    if asked.path == "/v1/models":
        await client.reply(b'{"data":[{"id":"tiny"}]}')
    elif asked.method == "POST":
        await client.stream(one_token().replace(b'"m"', b'"tiny"'))
    else:
        await client.reply(b"no such page", 404)
