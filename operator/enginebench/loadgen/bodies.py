"""Requests as bytes, built before they are needed: sending one is putting two halves and a salt together."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from enginebench import __version__
from enginebench.api.loadplan import LoadPlan, Message, PointPlan, Row
from enginebench.loadgen.address import Address
from enginebench.loadgen.history import Asked, History
from enginebench.loadgen.routes import ROUTES, JsonObject, Route
from enginebench.loadgen.shard import WHOLE, Shard
from enginebench.loadgen.words import words
from enginebench.results.point_report import RequestBody

SALT_DIGITS = 18
"""Fixed length, and digits only, so that it takes as many tokens in every prompt (6 in Llama 3's tokenizer)."""
CACHE_BYTES = 16 * 1024 * 1024
"""Of built requests; further rows are built when they are needed."""

MOST_DESCRIBED_BYTES = 4096
"""A body with more besides its prompt is told by its digest alone."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request with a gap for the salt between its halves; `after` is empty where nothing is to be put in."""

    before: bytes
    after: bytes


class Bodies:
    """The requests of one target. Rows come in an order fixed by the plan's seed, the same for every target."""

    def __init__(self, plan: LoadPlan, address: Address, rows: Sequence[Row], *, most: int | None = None) -> None:
        """`most`: output tokens, where less than the plan's."""
        self._plan = plan
        self._address = address
        self._rows = rows
        self._route: Route = ROUTES[plan.request.api]
        self._most = min(most or plan.request.max_output_tokens, plan.request.max_output_tokens)
        self._extra: JsonObject = msgspec.json.decode(plan.request.extra_body_json or "{}", type=JsonObject)
        self._order = order(len(rows), plan.seed)
        self._cache: dict[int, Prepared] = {}
        self._cached = 0
        self._salted = plan.prompt_reuse != "AsIs"
        self._prefix = words(plan.seed, -1, plan.shared_prefix_tokens) if plan.prompt_reuse == "Shared" else ""
        self._begin, self._begin_of = 0, (-2, -2)  # no point's
        self._alike = [] if self._salted else _first_alike(rows)
        self._history = History()
        self.asked = Asked()
        """Of the point, where prompts are sent as they stand."""

    @property
    def described(self) -> RequestBody:
        """What the body of every request says besides its prompt and a smaller cap of its row's."""
        return described(self.common)

    @property
    def common(self) -> JsonObject:
        """The body of a request with an empty prompt and the plan's cap."""
        return merged(self._route.body(self._plan, Row(prompt=""), self._most), self._extra)

    @property
    def rows(self) -> int:
        """How many different rows there are."""
        return len(self._rows)

    def asked_row(self, point: PointPlan, phase: str, number: int) -> Row:
        """The `number`-th row of a phase of a point, its prompt opened as `request` would."""
        opening = [self._prefix] if self._prefix else []
        if self._salted:
            opening.append(salt(self._plan.seed, point, phase, number).decode())
        return opened(self._rows[self._row_of(point, number)], " ".join(opening))

    def count_repeats(self, point: PointPlan, before: int, within: int) -> None:
        """As if `before` requests of the point had been made, and then `within` of them in its window: of unsalted
        prompts, for somebody else who sends what `asked_row` says."""
        for number in range(before + within if not self._salted else 0):
            self.asked.note("window" if number >= before else "warm-up", self._alike[self._row_of(point, number)])

    def repeated(self, others: Sequence[Asked] = ()) -> float:
        """Share of the window's requests whose prompt the engine had been sent before. `others`: what other processes
        have sent of the point. Once a point, when it is over."""
        point, self.asked = self.asked, Asked()
        return self._history.repeated((point, *others))

    def warm(self, point: PointPlan, shard: Shard = WHOLE) -> None:
        """Build what the share of the point will ask first, until the cache is full."""
        self.asked = Asked()
        for number in range(shard.of(len(self._rows))):
            if self._cached >= CACHE_BYTES:
                return
            self._prepared(self._row_of(point, shard.nth(number)))

    def request(self, point: PointPlan, phase: str, number: int) -> bytes:
        """The `number`-th request of a phase of a point: its bytes depend on nothing that happened before."""
        row = self._row_of(point, number)
        prepared = self._prepared(row)
        if not self._salted:
            self.asked.note(phase, self._alike[row])
        if not prepared.after:
            return prepared.before
        return prepared.before + salt(self._plan.seed, point, phase, number) + prepared.after

    def known_tokens(self, point: PointPlan, number: int) -> int | None:
        """Of the prompt of the request of that number, by the data set."""
        return self._rows[self._row_of(point, number)].prompt_tokens

    def _row_of(self, point: PointPlan, number: int) -> int:
        # Every point begins elsewhere in the order, wherever it stands in a plan that was cut by a suspension.
        if (place := (point.index, point.repeat)) != self._begin_of:
            self._begin_of, self._begin = place, _hash(f"{self._plan.seed}/{point.index}/{point.repeat}")
        return self._order[(self._begin + number) % len(self._order)]

    def _prepared(self, row: int) -> Prepared:
        found = self._cache.get(row)
        if found is None:
            found = self._build(self._rows[row])
            if self._cached < CACHE_BYTES:
                self._cached += len(found.before) + len(found.after)
                self._cache[row] = found
        return found

    def _build(self, row: Row) -> Prepared:
        most = min(row.output_tokens or self._most, self._most)
        gap = _absent_from(self._text(row, most)) if self._salted else b""
        text = self._text(opened(row, " ".join(part for part in (self._prefix, gap.decode()) if part)), most)
        head = (
            f"POST {self._address.path}{self._route.path} HTTP/1.1\r\n"
            f"Host: {self._address.authority}\r\n"
            f"{self._address.authorization}"
            f"User-Agent: enginebench/{__version__}\r\n"
            "Content-Type: application/json\r\n"
            "Accept-Encoding: identity\r\n"
            f"Content-Length: {len(text)}\r\n"
            "\r\n"
        ).encode()
        before, _, after = text.partition(gap) if gap else (text, b"", b"")
        return Prepared(head + before, after)

    def _text(self, row: Row, most: int) -> bytes:
        return msgspec.json.encode(merged(self._route.body(self._plan, row, most), self._extra))


def described(body: JsonObject) -> RequestBody:
    """A body by its digest, and in full where it is not too long."""
    text = msgspec.json.encode(body)
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    return RequestBody(digest=digest, json=text.decode() if len(text) <= MOST_DESCRIBED_BYTES else "")


def order(rows: int, seed: int) -> list[int]:
    """The rows, shuffled by the seed; the same on every machine and in every version."""
    return sorted(range(rows), key=lambda row: hashlib.blake2b(f"{seed}/{row}".encode(), digest_size=16).digest())


def _first_alike(rows: Sequence[Row]) -> list[int]:
    """For each row the first one with the same prompt."""
    first: dict[tuple[str | None, tuple[Message, ...] | None], int] = {}
    return [first.setdefault((row.prompt, row.messages), number) for number, row in enumerate(rows)]


def salt(seed: int, point: PointPlan, phase: str, number: int) -> bytes:
    """Digits that open a prompt, so that no prefix cache has seen it: the same for all targets of a run."""
    name = f"{seed}/{point.index}/{point.repeat}/{phase}/{number}"
    return b"%0*d" % (SALT_DIGITS, _hash(name) % 10**SALT_DIGITS)


def opened(row: Row, opening: str) -> Row:
    """The row with words before its prompt, or before its first user message (its last one, if none is a user's)."""
    if not opening:
        return row
    if row.messages is None:
        return msgspec.structs.replace(row, prompt=f"{opening}\n{row.prompt}")
    roles = [message.role for message in row.messages]
    at = roles.index("user") if "user" in roles else len(roles) - 1
    changed = Message(role=roles[at], content=f"{opening}\n{row.messages[at].content}")
    return msgspec.structs.replace(row, messages=(*row.messages[:at], changed, *row.messages[at + 1 :]))


def merged(body: JsonObject, extra: JsonObject) -> JsonObject:
    """The body with the extra members over it, objects within objects merged alike."""
    both = dict(body)
    for name, value in extra.items():
        old = both.get(name)
        both[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def _absent_from(text: bytes) -> bytes:
    """Digits as long as a salt that do not stand in the text."""
    return next(gap for n in range(10**6) if (gap := b"%0*d" % (SALT_DIGITS, n)) not in text)
