"""The prompts: where they come from, how a file of them is read, and what an engine may know of them beforehand."""

import re
from typing import Annotated, Literal

from pydantic import Field

from enginebench.api.base import SpecObject
from enginebench.api.refs import ConfigMapKeyRef
from enginebench.api.rules import Rule, exactly_one, matches
from enginebench.api.types import Name, Seed

Tokens = Annotated[int, Field(ge=1, le=1048576)]


class ChatMessage(SpecObject):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    """Who speaks."""
    content: Annotated[str, Field(max_length=65536)]
    """What is said."""


class InlineRow(SpecObject):
    """One request."""

    rules = (exactly_one("prompt", "messages"),)

    prompt: Annotated[str, Field(min_length=1, max_length=65536)] | None = None
    """A text; the only user message where a chat API is asked."""
    messages: (
        Annotated[
            list[ChatMessage],
            Field(min_length=1, max_length=64),
            Rule(
                sentence="must not end with the assistant: leave out the answer, which the engine is to give",
                cel="self.size() == 0 || self[self.size() - 1].role != 'assistant'",
                holds=lambda messages: not messages or messages[-1].role != "assistant",
            ),
        ]
        | None
    ) = None
    """A conversation so far, for the chat APIs; the engine gives the next answer."""
    prompt_tokens: Tokens | None = None
    """Tokens of the prompt, where known."""
    output_tokens: Tokens | None = None
    """Tokens of the answer to ask for, where less than request.maxOutputTokens."""


class InlineDataset(SpecObject):
    """Rows written into the run."""

    rows: Annotated[list[InlineRow], Field(min_length=1, max_length=1000)]
    """The requests, taken in turn, again from the first after the last."""


class SyntheticDataset(SpecObject):
    """Prompts made from a seed: the same on every machine."""

    rows: Annotated[int, Field(ge=1, le=100000)] = 1000
    """How many different prompts."""
    prompt_tokens: Annotated[int, Field(ge=1, le=131072)]
    """Words of each prompt, each one token of most tokenizers."""
    output_tokens: Tokens
    """Tokens of each answer to ask for."""
    seed: Seed = 0
    """Another seed gives other prompts."""


class PersistentVolumeClaimFile(SpecObject):
    """A file on a claim in the run's namespace, mounted read-only."""

    claim_name: Name
    """Name of the PersistentVolumeClaim."""
    path: Annotated[
        str,
        Field(min_length=1, max_length=1024),
        matches(
            "[^/\\x00-\\x1f\\x7f]+(/[^/\\x00-\\x1f\\x7f]+)*",
            "must be the file's path from the volume's root, without a slash at its beginning or end: "
            "prompts/chat.jsonl",
        ),
        Rule(
            sentence="must not go through '.' or '..': give the path from the volume's root",
            cel="!self.matches('(^|/)[.]{1,2}(/|$)')",
            holds=lambda path: re.search("(^|/)[.]{1,2}(/|$)", path) is None,
        ),
    ]
    """The file's path from the volume's root."""


class UrlFile(SpecObject):
    """A file that the load pods download."""

    url: Annotated[
        str,
        Field(min_length=1, max_length=2048),
        matches(
            "https?://([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\\[[0-9a-fA-F:]+\\])(:[0-9]{1,5})?"
            "(/[-A-Za-z0-9._~%!$&'()*+,;=:@/]*)?([?][-A-Za-z0-9._~%!$&'()*+,;=:@/?]*)?",
            "must be http:// or https://host[:port]/path: no user, no password and no fragment",
        ),
    ]
    """Where it lies, seen from the run's namespace. Proxies are the operator's own (HTTPS_PROXY, NO_PROXY)."""
    sha256: Annotated[
        str,
        Field(min_length=1, max_length=64),
        matches(
            "[0-9a-f]{64}",
            "must be the SHA-256 of the file as it is served, in 64 lower-case hexadecimal digits: sha256sum tells it",
        ),
    ]
    """SHA-256 of the file as it is served. Another file is refused."""


class UniquePrompts(SpecObject):
    """A salt opens every prompt, so that no prefix cache answers."""


class PromptsAsIs(SpecObject):
    """Prompts as they stand; where rows repeat, a prefix cache may answer."""


class SharedPrefix(SpecObject):
    """All prompts begin alike, on purpose."""

    prefix_tokens: Annotated[int, Field(ge=1, le=131072)]
    """Length of the common beginning."""


class PromptReuse(SpecObject):
    """Whether an engine may answer from what it has seen before."""

    rules = (exactly_one("unique", "asIs", "shared"),)

    unique: UniquePrompts | None = None
    """No prompt begins like another."""
    as_is: PromptsAsIs | None = None
    """As the data set has them."""
    shared: SharedPrefix | None = None
    """All begin alike."""


class Dataset(SpecObject):
    """The prompts."""

    rules = (
        exactly_one("inline", "configMap", "persistentVolumeClaim", "url", "synthetic"),
        Rule(
            sentence="tells how a file is read, and inline or synthetic rows are none: remove format",
            cel="!has(self.format) || !(has(self.inline) || has(self.synthetic))",
            holds=lambda self: self.format is None or (self.inline is None and self.synthetic is None),
            field=".format",
        ),
    )

    inline: InlineDataset | None = None
    """Rows written here."""
    config_map: ConfigMapKeyRef | None = None
    """A file in a ConfigMap (data or binaryData)."""
    persistent_volume_claim: PersistentVolumeClaimFile | None = None
    """A file on a volume."""
    url: UrlFile | None = None
    """A file at an address."""
    synthetic: SyntheticDataset | None = None
    """Prompts made from a seed."""
    format: Literal["JSONL", "ShareGPT"] | None = None
    """How a file is read, gzip or not. JSONL: an object a line with prompt (or messages), and where they are known
    prompt_tokens_count and output_tokens_count. ShareGPT: conversations, whose first question is the prompt. JSONL
    where absent."""
    seed: Seed = 0
    """Seeds the order of the rows, the salts that open prompts, and the order of load points from the second repeat
    on: the same for every target."""
    prompt_reuse: PromptReuse | None = None
    """Whether caches may help. unique where absent."""

    @property
    def file(self) -> str:
        """Where its file lies, in words; empty where the run itself has the rows. A query may hold a secret."""
        if self.config_map is not None:
            return f"ConfigMap {self.config_map.name}, key {self.config_map.key}"
        if self.persistent_volume_claim is not None:
            return (
                f"PersistentVolumeClaim {self.persistent_volume_claim.claim_name}, "
                f"path {self.persistent_volume_claim.path}"
            )
        return self.url.url.partition("?")[0] if self.url is not None else ""
