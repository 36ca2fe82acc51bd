"""The errors in logs of vLLM 0.32, as it wrote them (shortened)."""

from enginebench.engines.errors import errors_in

CHAINED = """\
INFO 11-23 19:16:01 [api_server.py:1] vLLM API server version 0.32.0
Traceback (most recent call last):
  File "huggingface_hub/utils/_http.py", line 868, in hf_raise_for_status
    response.raise_for_status()
httpx2.HTTPStatusError: Client error '401 Unauthorized' for url 'http://hub/a/b/resolve/main/config.json'
For more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/401

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "huggingface_hub/utils/_http.py", line 952, in hf_raise_for_status
    raise _format(RepositoryNotFoundError, message, response)
huggingface_hub.errors.RepositoryNotFoundError: 401 Client Error. (Request ID: x)

Repository Not Found for url: http://hub/a/b/resolve/main/config.json.
Please make sure you specified the correct `repo_id` and `repo_type`.

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "transformers/utils/hub.py", line 569, in cached_files
    raise OSError(
OSError: a/b is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'
"""

OF_A_PROCESS = """\
(EngineCore pid=77) ERROR 11-23 19:16:01 [core.py:1003] Traceback (most recent call last):
(EngineCore pid=77) ERROR 11-23 19:16:01 [core.py:1003]   File "torch/x.py", line 1, in f
(EngineCore pid=77) ERROR 11-23 19:16:01 [core.py:1003] torch.OutOfMemoryError: CUDA out of memory. Tried to
(EngineCore pid=77) INFO 11-23 19:16:02 [core.py:1] bye
(EngineCore pid=77) Traceback (most recent call last):
(EngineCore pid=77)   File "torch/x.py", line 1, in f
(EngineCore pid=77) torch.OutOfMemoryError: CUDA out of memory. Tried to
(APIServer pid=1) Traceback (most recent call last):
(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""


def test_errors_that_follow_from_one_another_are_told_in_their_order() -> None:
    assert errors_in(CHAINED) == (
        "httpx2.HTTPStatusError: Client error '401 Unauthorized' for url 'http://hub/a/b/resolve/main/config.json'",
        "huggingface_hub.errors.RepositoryNotFoundError: 401 Client Error. (Request ID: x) Repository Not Found for "
        "url: http://hub/a/b/resolve/main/config.json. Please make sure you specified the correct `repo_id` and "
        "`repo_type`.",
        "OSError: a/b is not a local folder and is not a valid model identifier listed on "
        "'https://huggingface.co/models'",
    )


def test_an_error_of_a_process_of_its_own_is_told_once_and_before_what_followed() -> None:
    assert errors_in(OF_A_PROCESS) == (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to",
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
    )


def test_a_log_without_a_traceback_has_none() -> None:
    assert errors_in('time=12 level=INFO msg="no Error: here"\nbye\n') == ()
    assert errors_in("") == ()


def test_an_endless_error_is_cut() -> None:
    [error] = errors_in("ValueError: " + "x" * 5000)
    assert len(error) == 600
