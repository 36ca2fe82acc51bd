"""Before any load: the engine answers, serves the right model, and a real completion has come back."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, time
from typing import TypeVar

import msgspec

from enginebench.api.loadplan import LoadPlan, PointPlan, Row
from enginebench.loadgen.address import Address
from enginebench.loadgen.asking import Dialect, Fact, Refused, dialect_of
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.connection import CONNECT_SECONDS, Connection, SocketAddress, connect
from enginebench.loadgen.errors import UNTRUSTED, WRONG_HOST, GaveUp, certificate_fault, in_words
from enginebench.loadgen.gaps import Gaps
from enginebench.loadgen.models import is_wrong, same_model
from enginebench.loadgen.plain import UNREACHABLE
from enginebench.loadgen.pull import PullFailed, pull
from enginebench.loadgen.routes import ROUTES
from enginebench.loadgen.slots import requests_at_once
from enginebench.loadgen.speaker import Speaker
from enginebench.results.messages import EngineReport, Progress
from enginebench.results.record import RequestRecord
from enginebench.results.transfer import Transfer
from enginebench.results.transfer import in_words as transfer_in_words

RETRY_SECONDS = 0.5
VERIFYING_TOKENS = 8
MOST_NAMED = 20
"""Models in a message; a hosted endpoint may list hundreds."""
TRIES = 3
"""A connection that breaks right after the start is tried again; a refusal in words is not."""
_LOAD_CURE = "Look at the engine's log; a smaller model, context or numParallel needs less memory."
VERIFYING_POINT = PointPlan(index=0, concurrency=1)

_T = TypeVar("_T")


async def verify(plan: LoadPlan, address: Address, rows: Sequence[Row], speaker: Speaker) -> EngineReport:
    """The engine's report; GaveUp says why there is none."""
    dialect = dialect_of(plan, address)
    listed = await answering(plan, dialect, speaker)
    seconds = None
    if plan.pull_model and dialect.pulls and served_name(plan, listed) is None:
        seconds = (await pulled(plan, address, speaker)).seconds
        listed = dict(await asked(dialect.models()))
    if not plan.model:
        plan = _with_the_only_model(plan, listed)
        dialect = dialect_of(plan, address)
    served = served_name(plan, listed)
    if served is None:
        names = _names(listed)
        reason = "ModelNotFound" if dialect.pulls else "WrongModel"
        raise GaveUp(reason, f"{plan.url} does not serve {plan.model}; it serves {names}. Correct the target's model.")
    if plan.pull_model and dialect.pulls:
        await _loaded(plan, dialect, speaker)
    answered_at = time()
    speaker.progress(Progress(stage="Verifying", message=f"asking for {plan.model}"))
    where = await asked(resolved(address))
    tls_version = await _completion(plan, where, address, rows)
    in_force = await asked(dialect.effective())
    if dialect.has_slots:
        in_force |= await _slots(plan, where, address, speaker)
    return EngineReport(
        served_model=served,
        version=await asked(dialect.version()),
        model_digest=listed[served] or await asked(dialect.digest()),
        model_download_seconds=seconds,
        effective={**in_force, **_security(plan, tls_version), **_origin(plan)},
        answered_at=answered_at,
        at=time(),
    )


async def _slots(plan: LoadPlan, where: SocketAddress, address: Address, speaker: Speaker) -> dict[str, Fact]:
    speaker.progress(Progress(stage="Verifying", message="seeing how many requests it answers at once"))
    found = await requests_at_once(plan, address, where)
    return {} if found is None else {"requestsAtOnce": found[0], "requestsProbed": found[1]}


async def resolved(address: Address) -> SocketAddress:
    """Where to connect to: the first of the name's addresses that answers, else the first; OSError without any."""
    loop = asyncio.get_running_loop()
    for tries_left in reversed(range(TRIES)):
        try:
            found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            break
        except socket.gaierror:  # a name server may be busy for a moment
            if not tries_left:
                raise
            await asyncio.sleep(RETRY_SECONDS)
    candidates = [
        SocketAddress(
            family,
            tuple(str(part) if isinstance(part, bytes) else part for part in where),
            address.tls,
            address.host,
        )
        for family, _, _, _, where in found
    ]
    for candidate in candidates if len(candidates) > 1 else ():  # one address alone need not be tried
        with suppress(OSError), socket.socket(candidate.family, socket.SOCK_STREAM) as trial:
            trial.setblocking(False)
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.sock_connect(trial, candidate.where)
            return candidate
    return candidates[0]


async def answering(plan: LoadPlan, dialect: Dialect, speaker: Speaker) -> dict[str, str]:
    """What the engine lists, as soon as it does."""
    began, why = monotonic(), "no answer yet"
    while monotonic() - began < plan.startup_seconds:
        speaker.progress(Progress(stage="Waiting", message=f"waiting for the engine to answer ({why})"))
        try:
            return dict(await dialect.models())
        except Refused as refusal:
            why = str(refusal)
            if "HTTP 401" in why or "HTTP 403" in why:
                raise _unauthorized(plan, why) from None
        except ssl.SSLCertVerificationError as error:
            raise GaveUp(
                "CertificateRefused",
                f"The TLS certificate of {plan.url} is refused: {certificate_fault(error)}. "
                f"{_certificate_cure(plan, error.verify_code)}",
            ) from None
        except UNREACHABLE as error:
            why = in_words(error)
        await asyncio.sleep(RETRY_SECONDS)
    raise GaveUp(
        "EngineNotReady",
        f"{plan.url} did not list its models within {plan.startup_seconds} s: {why}. "
        f"Look whether it runs{'' if plan.url.startswith('https:') else ', speaks plain HTTP there and not TLS,'} and is "
        "reached from this namespace, or raise spec.timeouts.startupSeconds.",
    )


def _security(plan: LoadPlan, tls_version: str) -> dict[str, Fact]:
    """What the status says of the connection; nothing where it is plain."""
    if not tls_version:
        return {}
    certificate = "verified" if plan.access.verify_certificate else "NOT VERIFIED (endpoint.tls.insecureSkipVerify)"
    return {"tls": tls_version, "certificate": certificate}


def _origin(plan: LoadPlan) -> dict[str, Fact]:
    """What the status says of a model that nobody vouches for."""
    return {"modelRegistry": f"http://{plan.model.partition('/')[0]}, WITHOUT TLS"} if plan.pull_without_tls else {}


def _unauthorized(plan: LoadPlan, why: str) -> GaveUp:
    cure = "If it wants a bearer token, name the Secret that holds it in endpoint.tokenSecretRef."
    if plan.access.token_from:
        cure = f"It does not accept the {plan.access.token_from}. Put a valid token into it, and run again."
    return GaveUp("Unauthorized", f"{plan.url} refuses us: {why}. {cure}")


def _certificate_cure(plan: LoadPlan, fault: int) -> str:
    if fault in WRONG_HOST:
        return "Give endpoint.url the name that it is made for."
    if fault not in UNTRUSTED:
        return "Have it renewed."
    if plan.access.ca_from:
        return f"Put the CA that signed it into the {plan.access.ca_from}."
    return "Put the CA that signed it into a ConfigMap, and name that in endpoint.tls.caConfigMapRef."


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that has come: in so many seconds, and of how many bytes where they were told."""

    seconds: float
    bytes: int | None


async def pulled(plan: LoadPlan, address: Address, speaker: Speaker) -> Pulled:
    """Have Ollama pull the model; GaveUp says why it did not come."""
    without_tls = " without TLS" if plan.pull_without_tls else ""
    transfer, size = Transfer(), None

    def on_bytes(done: int, total: int | None, status: str) -> None:
        nonlocal size
        size = total or size
        transfer.note(monotonic(), done)
        rate, left = transfer.bytes_per_second, transfer.remaining_seconds(total)
        share = transfer_in_words(done, total, rate, left) if total else status
        speaker.progress(
            Progress(
                stage="DownloadingModel",
                message=f"downloading {plan.model}{without_tls}: {share}",
                bytes_done=done,
                bytes_total=total,
                bytes_per_second=rate if total else None,
                remaining_seconds=left,
            )
        )

    on_bytes(0, None, "asked for")
    try:
        return Pulled(await pull(address, plan, on_bytes), size)
    except PullFailed as failure:
        words = f"Ollama cannot pull {plan.model}: {str(failure).rstrip('.')}. {failure.fault.cure}"
        raise GaveUp(failure.fault.reason, words) from failure


async def _loaded(plan: LoadPlan, dialect: Dialect, speaker: Speaker) -> None:
    """The model is in memory: so much of the start belongs to the engine, and none of it to the first completion."""
    speaker.progress(Progress(stage="LoadingModel", message=f"the engine loads {plan.model}"))
    try:
        await dialect.load(plan.startup_seconds)
    except Refused as refusal:
        raise GaveUp("ModelNotLoaded", f"{plan.url} cannot load {plan.model}: {refusal}. {_LOAD_CURE}") from None
    except UNREACHABLE as error:
        words = f"{plan.url} broke off as it loaded {plan.model}: {in_words(error)}"
        raise GaveUp("ModelNotLoaded", f"{words}. {_LOAD_CURE}") from error


async def _completion(plan: LoadPlan, where: SocketAddress, address: Address, rows: Sequence[Row]) -> str:
    """One real completion came back, on the route that is measured. The TLS version of its connection; empty: none."""
    request = Bodies(plan, address, rows, most=VERIFYING_TOKENS).request(VERIFYING_POINT, "verify", 0)
    why = ""
    for _ in range(TRIES):
        record = RequestRecord(start=0, tracked=False)
        once = Once()
        try:
            connection = await connect(where, ROUTES[plan.request.api], once)
        except (OSError, TimeoutError) as error:
            why = f"the connection could not be opened: {in_words(error)}"
            await asyncio.sleep(RETRY_SECONDS)
            continue
        tls_version = connection.tls_version
        try:
            connection.send(request, record)
            async with asyncio.timeout(plan.verification_seconds):
                why = await once.over
        except TimeoutError:
            raise GaveUp(
                "VerificationTimeout",
                f"POST {ROUTES[plan.request.api].path} of {plan.url} brought no whole completion within "
                f"{plan.verification_seconds} s (spec.timeouts.verificationSeconds). Look at the engine's log, or raise "
                "the time.",
            ) from None
        finally:
            connection.close()
        wrong = next((model for model in once.models if is_wrong(model, plan)), None)
        if wrong is not None:
            raise GaveUp(
                "WrongModel",
                f"{plan.url} was asked for {plan.model} and answered as {wrong}. Correct the target's model.",
            )
        if not why:
            return tls_version
        if record.outcome == "errored":
            break
        await asyncio.sleep(RETRY_SECONDS)
    path = ROUTES[plan.request.api].path
    if why.startswith(("HTTP 401", "HTTP 403")):  # some list their models to everybody
        raise _unauthorized(plan, f"POST {path}: {why}")
    raise GaveUp(
        "VerificationFailed",
        f"POST {path} of {plan.url} brought no completion: {why}. Look at the engine's log, "
        "and check the target's model and spec.workload.request.",
    )


class Once:
    """Listens to one request."""

    def __init__(self) -> None:
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """What went wrong; empty if nothing did."""
        self.models: set[str] = set()
        self.gaps = Gaps()  # never opened: nothing is measured yet

    def served_by(self, model: str) -> None:
        self.models.add(model)

    def ended(self, connection: Connection, record: RequestRecord) -> None:  # noqa: ARG002  # Listener's signature
        self._tell(record.error)

    def lost(self, connection: Connection, record: RequestRecord | None, why: str) -> None:  # noqa: ARG002  # ditto
        self._tell(why)

    def _tell(self, why: str) -> None:
        if not self.over.done():
            self.over.set_result(why)


async def asked(question: Awaitable[_T]) -> _T:
    """An answer that must come now: the engine has answered before."""
    try:
        return await question
    except (Refused, *UNREACHABLE) as error:
        raise GaveUp(
            "VerificationFailed",
            f"The engine answered, and then did not any more: {in_words(error)}. Look at its log, and run again.",
        ) from error


def _with_the_only_model(plan: LoadPlan, listed: Mapping[str, str]) -> LoadPlan:
    """The plan asks for whatever is served; GaveUp where that is not one model."""
    if len(listed) == 1:
        return msgspec.structs.replace(plan, model=next(iter(listed)))
    raise GaveUp(
        "ModelNotChosen" if listed else "ModelNotFound",
        f"The target names no model, and {plan.url} serves {_names(listed)}. "
        + ("Name the one that is meant in endpoint.model." if listed else "Have it load one."),
    )


def _names(listed: Mapping[str, str]) -> str:
    """For people: some of them, and how many more there are."""
    more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return ", ".join(sorted(listed)[:MOST_NAMED]) + more or "no model at all"


def served_name(plan: LoadPlan, listed: Mapping[str, str]) -> str | None:
    """The listed name that the plan asks for."""
    return next((name for name in listed if same_model(name, plan)), None)
