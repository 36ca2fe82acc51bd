"""A container that ended by itself, in words."""

import pytest
from msgspec.structs import replace

from enginebench.workflow.observed import Trouble
from enginebench.workflow.rules.pod_end import engine_died, last_lines, load_pod_died
from tests.unit.workflow.build import START, engine, load, terminated


@pytest.mark.parametrize(
    ("code", "reason", "log", "want_reason", "want_words"),
    [
        (1, "Error", "ValueError: no such model", "EngineExited", "ValueError: no such model"),
        (0, "Completed", "bye", "EngineExited", "code 0"),
        (137, "OOMKilled", "", "OutOfMemory", "resources.limits.memory"),
        (137, "Error", "", "OutOfMemory", "exit code 137"),
        (1, "Error", "torch.OutOfMemoryError: CUDA out of memory. Tried", "GPUOutOfMemory", "GPU memory"),
        (2, "Error", "ggml_backend_cuda: cudaMalloc failed: out of memory", "GPUOutOfMemory", "smaller model"),
        (1, "Error", "No available memory for the cache blocks.", "GPUOutOfMemory", "more GPUs"),
    ],
)
def test_engine_died(code: int, reason: str, log: str, want_reason: str, want_words: str) -> None:
    problem = engine_died(engine(**terminated(code, log, reason=reason)))
    assert problem.reason == want_reason
    assert want_words in problem.message


def test_an_evicted_engine_that_ended_well_is_known_by_its_event() -> None:
    words = 'Usage of EmptyDir volume "models" exceeds the limit "1Mi". '
    evicted = replace(engine(**terminated(0, "")), troubles=(Trouble("Evicted", words, START, START),))
    problem = engine_died(evicted)
    assert problem.reason == "ModelCacheFull"
    assert words.strip() in problem.message


ROOT_CAUSE = "huggingface_hub.errors.GatedRepoError: 403 Client Error. Cannot access gated repo for url http://hub/a/b."


@pytest.mark.parametrize(
    ("errors", "reason", "words"),
    [
        (
            (ROOT_CAUSE, "OSError: You are trying to access a gated repo."),
            "ModelAccessDenied",
            "accept them at the hub",
        ),
        (
            ("X: Client error '401 Unauthorized'", "HfHubHTTPError: Invalid credentials in Authorization header"),
            "ModelAccessDenied",
            "The hub does not accept the token",
        ),
        (
            ("X: Client error '401 Unauthorized'", "RepositoryNotFoundError: 401 Client Error."),
            "ModelNotFound",
            "or shows it to nobody without the right token",
        ),
        (("OSError: [Errno 28] No space left on device",), "ModelCacheFull", "There is no room for the model"),
        (("httpx2.ReadTimeout: The read operation timed out",), "ModelPullStalled", "stopped sending"),
        (("httpx2.ConnectError: [Errno 111] Connection refused",), "ModelPullFailed", "does not reach the hub"),
        (("torch.OutOfMemoryError: CUDA out of memory. Tried",), "GPUOutOfMemory", "GPU memory"),
        (("ValueError: max seq len is larger than",), "EngineExited", "Its log says: ValueError: max seq len"),
    ],
)
def test_what_failed_first_is_told_though_the_last_lines_do_not_have_it(
    errors: tuple[str, ...], reason: str, words: str
) -> None:
    last = "RuntimeError: Engine core initialization failed. See root cause above."
    problem = engine_died(engine(errors=(*errors, last), **terminated(1, last)))
    assert problem.reason == reason
    assert words in problem.message
    assert f"Its log says: {errors[0]}" in problem.message


def test_a_pod_that_failed_as_a_whole_says_why() -> None:
    problem = engine_died(engine(phase="Failed", reason="UnexpectedAdmissionError", message="no GPU is left"))
    assert problem.message.endswith("(UnexpectedAdmissionError): no GPU is left")


@pytest.mark.parametrize(
    ("code", "reason", "want_reason", "want_words"),
    [
        (0, "Completed", "ResultsMissing", "code 0"),
        (137, "OOMKilled", "LoadPodDied", "loadGenerator.resources.limits.memory"),
        (1, "Error", "LoadPodDied", "Traceback"),
    ],
)
def test_load_pod_died(code: int, reason: str, want_reason: str, want_words: str) -> None:
    problem = load_pod_died(load(**terminated(code, reason=reason)), ("Traceback",))
    assert problem.reason == want_reason
    assert want_words in problem.message


def test_last_lines_leave_out_frames_and_keep_the_end() -> None:
    assert last_lines("one\n\nEB1 1 point 1/1 00 xx\ntwo\n") == "one | two"
    assert last_lines("x" * 700 + "END").endswith("END")
    assert last_lines("") == "(none)"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("GET failed (404): Repository not found", "ModelNotFound"),
        ("no GGUF files found in repository org/m", "ModelNotFound"),
        ("GET failed (401): Invalid username or password.", "ModelAccessDenied"),
        ("download failed with status code: 403", "ModelAccessDenied"),
        ("HTTPLIB failed: Could not establish connection", "ModelPullFailed"),
        ("failed to write: No space left on device", "ModelCacheFull"),
        ("ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory", "GPUOutOfMemory"),
        ("failed to open GGUF file /models/m.gguf (No such file or directory)", "EngineExited"),
    ],
)
def test_the_words_of_llama_cpp_are_those_of_its_last_lines(line: str, reason: str) -> None:
    problem = engine_died(engine(**terminated(1, f"0.00.1 E common: error: {line}\nexiting")))
    assert problem.reason == reason
    assert f"Its last lines: 0.00.1 E common: error: {line} | exiting" in problem.message
