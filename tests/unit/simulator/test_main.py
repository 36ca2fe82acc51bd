"""The program: how it starts, what it says, and how it ends."""

import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from enginebench.simulator.settings import Settings, parse

COMMAND = [sys.executable, "-m", "enginebench", "simulate"]
ENVIRONMENT = {"PYTHONPATH": "operator", "PATH": "/usr/bin:/bin"}


def test_runs_until_it_is_told_to_stop() -> None:
    arguments = ["--api", "Ollama", "--model", "tiny", "--slots", "4", "--port", "0"]
    with subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stderr
        said = process.stderr.readline()
        assert said.startswith("SIMULATED Ollama engine: model tiny, 4 slots, port ")
        port = int(said.rpartition(" ")[2])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/version") as answer:
            assert answer.read() == b'{"version":"0.0.0-simulated"}'
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ["--model", "tiny", "--host", "127.0.0.1", "--port", port]
        run = subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=False
        )
    assert run.returncode == 1
    assert f"cannot listen on port {port}" in run.stderr
    assert "--port" in run.stderr
    assert "Traceback" not in run.stderr


def test_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, enginebench.simulator.main; "
        "print({'kopf', 'kubernetes', 'pydantic', 'httpx', 'yaml', 'jinja2'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert run.stdout == "set()\n"


def test_defaults_are_those_of_the_contract() -> None:
    assert parse(["--model", "m"]) == Settings(model="m", port=8000)
    assert parse(["--model", "m", "--api", "Ollama"]).port == 11434


def test_times_come_in_microseconds_and_shares_in_percent() -> None:
    settings = parse(
        [
            *("--model", "m", "--prefill-microseconds-per-token", "7", "--decode-step-microseconds", "8"),
            *("--decode-step-microseconds-per-sequence", "9", "--jitter-percent", "5", "--early-stop-percent", "50"),
        ]
    )
    times = (settings.prefill_per_token, settings.decode_step, settings.decode_step_per_sequence)
    assert times == (7000, 8000, 9000)
    assert (settings.jitter, settings.early_stops) == (0.05, 0.5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--model"),
        (["--model", ""], "printable"),
        (["--model", "m", "--slots", "0"], "0 is not 1 or more"),
        (["--model", "m", "--jitter-percent", "101"], "101 is not 0 to 100"),
        (["--model", "m", "--api", "vllm"], "invalid choice: 'vllm'"),
        (["--model", "m", "--slots", "many"], "invalid integer value: 'many'"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
