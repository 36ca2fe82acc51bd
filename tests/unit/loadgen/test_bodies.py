"""Requests: what they say in each dialect, and that they are the same for every target."""

import hashlib
import json
from typing import Any

import pytest

from enginebench.api.loadplan import LoadPlan, Message, PointPlan, RequestPlan, Row, SamplingPlan
from enginebench.loadgen import bodies
from enginebench.loadgen.address import parse
from enginebench.loadgen.bodies import SALT_DIGITS, Bodies
from enginebench.loadgen.words import VOCABULARY, words
from enginebench.results.point_report import RequestBody
from tests.unit.loadgen.plans import plan, prompts

POINT = PointPlan(index=3, concurrency=4)
SAMPLING = SamplingPlan(temperature=0.5, top_p=0.9, repetition_penalty=1.1, seed=5)


def document(request: bytes) -> dict[str, Any]:
    """The body of a request whose head tells its length."""
    head, _, body = request.partition(b"\r\n\r\n")
    [length] = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")]
    assert int(length.split(b" ")[1]) == len(body)
    decoded: dict[str, Any] = json.loads(body)
    return decoded


def asked(what: LoadPlan, rows: tuple[Row, ...], number: int = 0, **settings: Any) -> dict[str, Any]:
    return document(Bodies(what, parse(what.url), rows, **settings).request(POINT, "window", number))


@pytest.mark.parametrize(
    ("api", "dialect", "wanted"),
    [
        (
            "ChatCompletions",
            "vllm",
            {
                "messages": [{"role": "user", "content": "Hi"}],
                "max_tokens": 10,
                "temperature": 0.5,
                "top_p": 0.9,
                "seed": 5,
                "repetition_penalty": 1.1,
                "ignore_eos": True,
                "stream": True,
                "stream_options": {"include_usage": True},
            },
        ),
        (
            "Completions",
            "openai",
            {
                "prompt": "Hi",
                "max_tokens": 10,
                "temperature": 0.5,
                "top_p": 0.9,
                "seed": 5,
                "stream": True,
                "stream_options": {"include_usage": True},
            },
        ),
        (
            "Completions",
            "llamacpp",
            {
                "prompt": "Hi",
                "max_tokens": 10,
                "temperature": 0.5,
                "top_p": 0.9,
                "repeat_penalty": 1.1,
                "seed": 5,
                "stream": True,
                "stream_options": {"include_usage": True},
                "ignore_eos": True,
            },
        ),
        (
            "OllamaChat",
            "ollama",
            {
                "messages": [{"role": "user", "content": "Hi"}],
                "stream": True,
                "options": {"num_predict": 10, "temperature": 0.5, "top_p": 0.9, "repeat_penalty": 1.1, "seed": 5},
            },
        ),
        (
            "OllamaGenerate",
            "ollama",
            {
                "prompt": "Hi",
                "raw": True,
                "stream": True,
                "options": {"num_predict": 10, "temperature": 0.5, "top_p": 0.9, "repeat_penalty": 1.1, "seed": 5},
            },
        ),
    ],
)
def test_sampling_is_sent_in_full_as_far_as_the_dialect_knows_it(
    api: Any, dialect: Any, wanted: dict[str, Any]
) -> None:
    request = RequestPlan(api=api, max_output_tokens=10, ignore_eos=True, sampling=SAMPLING)
    what = plan(dialect=dialect, request=request, prompt_reuse="AsIs")
    assert asked(what, prompts("Hi")) == {"model": "tiny", **wanted}


@pytest.mark.parametrize("api", ["ChatCompletions", "Completions"])
def test_a_count_with_every_event_is_asked_for_where_it_is_wanted(api: Any) -> None:
    request = RequestPlan(api=api, max_output_tokens=10, per_event_usage=True)
    wanted = {"include_usage": True, "continuous_usage_stats": True}
    assert asked(plan(request=request), prompts("Hi"))["stream_options"] == wanted


def test_a_row_caps_its_own_answer() -> None:
    rows = (Row(prompt="a", output_tokens=4),)
    assert asked(plan(), rows)["max_tokens"] == 4
    assert asked(plan(), (Row(prompt="a", output_tokens=400),))["max_tokens"] == 10
    assert asked(plan(), rows, most=2)["max_tokens"] == 2


def test_extra_members_go_over_the_body_and_into_its_objects() -> None:
    extra = '{"options":{"top_k":1,"seed":9},"keep_alive":-1}'
    request = RequestPlan(api="OllamaChat", max_output_tokens=10, extra_body_json=extra)
    body = asked(plan(dialect="ollama", request=request), prompts("Hi"))
    assert body["keep_alive"] == -1
    assert body["options"] == {
        "num_predict": 10,
        "temperature": 0.0,
        "top_p": 1.0,
        "repeat_penalty": 1.0,
        "seed": 9,
        "top_k": 1,
    }


@pytest.mark.parametrize("api", ["ChatCompletions", "Completions", "OllamaChat", "OllamaGenerate"])
def test_what_is_asked_for_is_described_without_the_prompt(api: Any) -> None:
    what = plan(request=RequestPlan(api=api, max_output_tokens=10, sampling=SAMPLING))
    described = Bodies(what, parse(what.url), (Row(prompt="secret words", output_tokens=4),)).described
    sent = asked(what, (Row(prompt="secret words"),))
    said = json.loads(described.json)
    for prompted in (sent, said):
        assert prompted.pop("prompt", None) or prompted.pop("messages", None) or prompted is said
    said.pop("messages", None)
    assert said == sent
    assert "secret" not in described.json
    assert described.digest == f"sha256:{hashlib.sha256(described.json.encode()).hexdigest()}"


def test_a_body_of_many_members_is_described_by_its_digest() -> None:
    def described(value: str) -> RequestBody:
        extra = json.dumps({"guided_json": value})
        what = plan(request=RequestPlan(max_output_tokens=10, extra_body_json=extra))
        return Bodies(what, parse(what.url), prompts("Hi")).described

    assert described("x" * 5000).json == ""
    assert described("x" * 5000).digest != described("y" * 5000).digest


def test_an_extra_prompt_takes_the_place_of_the_salted_one() -> None:
    request = RequestPlan(api="Completions", max_output_tokens=10, extra_body_json='{"prompt":"always this"}')
    assert asked(plan(request=request), prompts("Hi"))["prompt"] == "always this"


def test_a_salt_of_fixed_length_opens_the_prompt_and_is_never_the_same_twice() -> None:
    what = plan(api="Completions")
    requests = Bodies(what, parse(what.url), prompts("Hi", "000000000000000000 Hi"))
    seen = set()
    for point in (POINT, PointPlan(index=4, concurrency=4), PointPlan(index=3, repeat=1, concurrency=4)):
        for phase in ("warm-up", "window", "drain"):
            for number in range(20):
                salt, _, prompt = document(requests.request(point, phase, number))["prompt"].partition("\n")
                assert salt.isdigit()
                assert len(salt) == SALT_DIGITS
                assert prompt in ("Hi", "000000000000000000 Hi")
                seen.add(salt)
    assert len(seen) == 3 * 3 * 20


def test_it_is_known_how_many_prompts_had_been_asked_before() -> None:
    what = plan(prompt_reuse="AsIs")
    requests = Bodies(what, parse(what.url), prompts("a", "b", "c", "a"))
    order = [requests.request(POINT, "warm-up", number) for number in range(2)]
    window = [requests.request(POINT, "window", number) for number in range(4)]
    fresh = [request for request in window if request not in order]
    assert requests.repeated() == (4 - len(set(fresh))) / 4
    requests.warm(POINT)
    for number in range(4):
        requests.request(POINT, "window", number)
    assert requests.repeated() == 1.0


def test_what_others_had_sent_before_counts_and_in_the_window_one_is_the_first() -> None:
    what = plan(prompt_reuse="AsIs")
    ours, theirs = (Bodies(what, parse(what.url), prompts("a", "b", "c", "d")) for _ in range(2))
    for number in range(4):
        theirs.request(POINT, "window", number)
    for number in (0, 1):
        ours.request(POINT, "window", number)
    assert ours.repeated([theirs.asked]) == 2 / 6
    ours.request(POINT, "window", 3)
    assert ours.repeated() == 1.0


def test_salted_prompts_are_never_asked_again() -> None:
    what = plan()
    requests = Bodies(what, parse(what.url), prompts("a"))
    for number in range(3):
        requests.request(POINT, "window", number)
    assert requests.repeated() == 0.0


def test_in_a_conversation_the_salt_opens_the_first_user_message() -> None:
    said = (("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye"))
    row = Row(messages=tuple(Message(role=role, content=content) for role, content in said))
    messages = asked(plan(), (row,))["messages"]
    assert messages[1]["content"][SALT_DIGITS:] == "\nHi"
    assert [m for i, m in enumerate(messages) if i != 1] == [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]


def test_every_target_gets_the_same_requests_in_the_same_order() -> None:
    rows = prompts(*(f"prompt {n}" for n in range(30)))
    one = plan("http://vllm:8000", target="vllm")
    other = plan("http://ollama:11434", target="ollama-default", dialect="ollama", attempt=2)
    first, second = (Bodies(p, parse(p.url), rows) for p in (one, other))
    for number in (7, 0, 31, 3):
        a, b = (document(r.request(POINT, "window", number)) for r in (first, second))
        assert a["messages"] == b["messages"]


def test_the_seed_orders_the_rows_and_every_row_comes_before_any_comes_again() -> None:
    rows = prompts(*map(str, range(30)))

    def order(seed: int) -> list[str]:
        what = plan(api="Completions", seed=seed, prompt_reuse="AsIs")
        requests = Bodies(what, parse(what.url), rows)
        return [document(requests.request(POINT, "window", n))["prompt"] for n in range(60)]

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)[:30], key=int) == [row.prompt for row in rows]
    assert order(1)[:30] == order(1)[30:]


def test_a_shared_prefix_comes_before_what_differs() -> None:
    what = plan(api="Completions", prompt_reuse="Shared", shared_prefix_tokens=5)
    requests = Bodies(what, parse(what.url), prompts("Hi", "Ho"))
    openings = {tuple(document(requests.request(POINT, "window", n))["prompt"].split()[:6]) for n in range(10)}
    assert len({opening[:5] for opening in openings}) == 1
    assert len({opening[5] for opening in openings}) == 10


def test_more_rows_than_the_cache_holds_are_built_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "CACHE_BYTES", 2000)
    what = plan(api="Completions", prompt_reuse="AsIs")
    requests = Bodies(what, parse(what.url), prompts(*(f"{n}" * 100 for n in range(30))))
    requests.warm(POINT)
    got = {document(requests.request(POINT, "window", n))["prompt"] for n in range(30)}
    assert got == {f"{n}" * 100 for n in range(30)}


def test_words_are_as_many_as_asked_for_and_the_same_everywhere() -> None:
    assert len(set(VOCABULARY)) == 128
    assert len(words(1, 2, 1000).split()) == 1000
    assert words(0, 0, 6) == words(0, 0, 6) != words(0, 1, 6)
    assert words(0, 0, 6) == "all other who other people did"


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("http://a.b.svc:8000", "a.b.svc", 8000, "", "a.b.svc:8000"),
        ("http://a/base/", "a", 80, "/base", "a"),
        ("https://A.example/base/llm", "a.example", 443, "/base/llm", "a.example"),
        ("https://a:8443", "a", 8443, "", "a:8443"),
        ("http://[::1]:9", "::1", 9, "", "[::1]:9"),
    ],
)
def test_addresses(url: str, host: str, port: int, path: str, authority: str) -> None:
    address = parse(url)
    assert (address.host, address.port, address.path, address.authority) == (host, port, path, authority)


@pytest.mark.parametrize(
    ("url", "words"), [("grpc://a", "must begin with http:// or https://"), ("http://", "names no host")]
)
def test_an_address_that_cannot_be_used_is_refused(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(url)
