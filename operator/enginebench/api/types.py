"""Scalars of the contract that several objects share."""

import re
from typing import Annotated, Literal

from pydantic import Field

from enginebench.api.rules import Rule, matches, text

_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_VALUE = "([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"

Decimal = Annotated[
    str,
    Field(min_length=1, max_length=16),
    matches("[0-9]+([.][0-9]+)?", 'must be a decimal in quotes, such as "0.5"'),
]
"""A decimal number as a string, so that no tool rounds it."""

Name = Annotated[
    str,
    Field(min_length=1, max_length=253),
    matches(
        f"{_DNS_LABEL}([.]{_DNS_LABEL})*",
        "must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', "
        "beginning and ending with a letter or digit",
    ),
]
"""The name of an object in the cluster."""

Key = Annotated[
    str,
    Field(min_length=1, max_length=253),
    matches("[-._a-zA-Z0-9]+", "must be a key of a Secret or ConfigMap: letters, digits, '-', '_' and '.'"),
]
"""A key in a Secret's or ConfigMap's data."""

LabelValue = Annotated[
    str,
    Field(max_length=63),
    matches(
        _LABEL_VALUE,
        "must be a label value: at most 63 letters, digits, '-', '_' and '.', "
        "beginning and ending with a letter or digit",
    ),
]

Quantity = Annotated[
    str,
    Field(min_length=1, max_length=32),
    matches(
        "([0-9]+|[0-9]+[.][0-9]*|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]{1,2})?",
        'must be a Kubernetes quantity that is not negative, in quotes, such as "4", "500m" or "32Gi"',
    ),
]
"""An amount of a resource."""

Image = Annotated[
    str,
    Field(min_length=1, max_length=512),
    matches(
        "([a-zA-Z0-9][-a-zA-Z0-9.]*(:[0-9]{1,5})?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
        "(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@sha256:[a-f0-9]{64})?",
        "must be a container image such as docker.io/vllm/vllm-openai:v0.9.1",
    ),
]

_NAME_OF_A_MODEL = matches(
    "[^-\\s]\\S*",
    "must be the model's name as the engine knows it, without blanks and not beginning with '-'",
)

ModelName = Annotated[
    str,
    Field(min_length=1, max_length=256),
    _NAME_OF_A_MODEL,
    Rule(
        sentence="is a URL, and only an ollama target pulls from one: give the model's name as the engine knows it",
        cel="!self.matches('^[hH][tT][tT][pP][sS]?://')",
        holds=lambda name: re.match("https?://", name, re.IGNORECASE) is None,
    ),
]

PLAIN_HTTP = "http://"
"""Before a model's name: Ollama pulls it from there, without TLS."""
_PART = "[A-Za-z0-9_][-A-Za-z0-9_.]{0,79}"
_ON_PLAIN_HTTP = (
    f"{PLAIN_HTTP}[A-Za-z0-9_][-A-Za-z0-9_.]*(:[0-9]{{1,5}})?/[A-Za-z0-9_][-A-Za-z0-9_]{{0,79}}/{_PART}(:{_PART})?"
)

OllamaModelName = Annotated[
    str,
    Field(min_length=1, max_length=256),
    _NAME_OF_A_MODEL,
    Rule(
        sentence="with :// must be http://host[:port]/namespace/model[:tag], for a registry without TLS; with TLS "
        "(https) leave the scheme out: host[:port]/namespace/model[:tag]",
        cel=f"!self.contains('://') || self.matches({text(f'^(?:{_ON_PLAIN_HTTP})$')})",
        holds=lambda name: "://" not in name or re.fullmatch(_ON_PLAIN_HTTP, name, re.ASCII) is not None,
    ),
]
"""As Ollama parses names (types/model/name.go), which knows a scheme only before all of the other parts."""

Dialect = Literal["vllm", "ollama", "llamacpp", "openai"]
"""Which API tells what an engine serves, and what it knows beside OpenAI's."""

Seed = Annotated[int, Field(ge=0, le=2147483647)]

_LABEL_KEY = f"({_DNS_LABEL}([.]{_DNS_LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"
_LABEL_KEY_PATTERN = re.compile(_LABEL_KEY)

LABEL_KEYS = Rule(
    sentence="must have keys such as example.com/name: a DNS name and a slash, or neither, and then at most "
    "63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
    cel=f"self.all(k, k.matches({text(f'^(?:{_LABEL_KEY})$')}))",
    holds=lambda labels: all(_LABEL_KEY_PATTERN.fullmatch(key) for key in labels),
)
"""Every key of a map is one of a label."""

NodeSelector = Annotated[dict[str, LabelValue], Field(max_length=32), LABEL_KEYS]


def at_most(limit: float, sentence: str) -> Rule:
    """A decimal string is not above `limit`."""
    return Rule(
        sentence=sentence,
        # A text that is no decimal breaks another rule; an error of double() would hide its sentence.
        cel=f"!self.matches('^[0-9]+([.][0-9]+)?$') || double(self) <= {float(limit)}",
        holds=lambda value: float(value) <= limit,
    )


def above_zero(sentence: str) -> Rule:
    """A decimal string is greater than 0."""
    return Rule(
        sentence=sentence,
        cel="!self.matches('^[0-9]+([.][0-9]+)?$') || double(self) > 0.0",
        holds=lambda value: float(value) > 0,
    )
