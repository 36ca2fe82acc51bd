"""A server that stands already: where it is, by its URL or by reference, and how it is reached."""

from typing import Annotated, ClassVar

from pydantic import Field

from enginebench.api.access import BASE_PATH, TLS_IS_FOR_HTTPS, TOKEN_IS_SAFE, URL, Secured, Tls
from enginebench.api.refs import InferenceServiceRef, ServiceRef
from enginebench.api.rules import Rule, exactly_one, matches
from enginebench.api.types import Dialect, ModelName

_WITHOUT_V1 = Rule(
    sentence="must be given without /v1 at its end: the load generator adds it",
    cel="!self.endsWith('/v1')",
    holds=lambda url: not url.endswith("/v1"),
)


class Endpoint(Secured):
    """An OpenAI-compatible server that stands already: nothing is deployed, changed or deleted."""

    dialect: ClassVar[Dialect] = "openai"

    rules = (
        exactly_one("url", "serviceRef", "inferenceServiceRef"),
        TLS_IS_FOR_HTTPS,
        Rule(
            sentence="stands beside a reference; with url it is a part of that: move it to the url's end",
            cel="!(has(self.path) && has(self.url))",
            holds=lambda self: self.path is None or self.url is None,
            field=".path",
        ),
        TOKEN_IS_SAFE,
    )

    url: (
        Annotated[
            str,
            Field(min_length=1, max_length=512),
            matches(
                URL,
                "must be http://host[:port][/path] or https://…: no user, no query and no slash at the end",
            ),
            _WITHOUT_V1,
        ]
        | None
    ) = None
    """Where it answers, seen from the run's namespace, without /v1: http://host:8000."""
    service_ref: ServiceRef | None = None
    """A Service in the run's namespace, waited for until it has a ready address."""
    inference_service_ref: InferenceServiceRef | None = None
    """A KServe InferenceService (serving.kserve.io/v1beta1) in the run's namespace, waited for until it is Ready."""
    path: (
        Annotated[
            str,
            Field(min_length=2, max_length=128),
            matches(BASE_PATH, "must begin with a slash and not end with one, without a query: /openai"),
            _WITHOUT_V1,
        ]
        | None
    ) = None
    """Of an endpoint by reference: what stands before /v1, such as /openai for KServe's own Hugging Face runtime."""
    model: ModelName | None = None
    """The model's name as /v1/models lists it. Where absent, the one that it lists, if there is only one."""
    tls: Tls | None = None
    """How its certificate is checked. Where absent: against the CAs of the operator's image. A Service by reference is
    spoken to over TLS if, and only if, this is set; {} will do."""
