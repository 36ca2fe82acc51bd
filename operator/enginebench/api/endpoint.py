"""A server that stands already: where it is, by its URL or by reference, and how it is reached."""

import re
from typing import Annotated, ClassVar

from pydantic import Field

from enginebench.api.base import SpecObject
from enginebench.api.refs import ConfigMapKeyRef, InferenceServiceRef, SecretKeyRef, ServiceRef
from enginebench.api.rules import Rule, exactly_one, matches, text
from enginebench.api.types import Dialect, ModelName

BASE_PATH = "(/[-A-Za-z0-9._~%]+)*"
URL = "https?://([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\\[[0-9a-fA-F:]+\\])(:[0-9]{1,5})?" + BASE_PATH
"""A base URL: no user, no query, no slash at the end."""
CLUSTER_LOCAL = "https?://[-A-Za-z0-9.]+[.]svc([.]cluster[.]local)?(:[0-9]+)?(/.*)?"
"""URLs of the cluster's own Services, by the names that cannot mean anything else."""

_WITHOUT_V1 = Rule(
    sentence="must be given without /v1 at its end: the load generator adds it",
    cel="!self.endsWith('/v1')",
    holds=lambda url: not url.endswith("/v1"),
)


class EndpointTls(SpecObject):
    """How the certificate of an https:// endpoint is checked."""

    rules = (
        Rule(
            sentence="caConfigMapRef and insecureSkipVerify exclude each other: remove one of them",
            cel="!(has(self.caConfigMapRef) && has(self.insecureSkipVerify) && self.insecureSkipVerify)",
            holds=lambda self: self.ca_config_map_ref is None or not self.insecure_skip_verify,
            field=".insecureSkipVerify",
        ),
    )

    ca_config_map_ref: ConfigMapKeyRef | None = None
    """CA certificates (PEM) to trust instead of those of the operator's image; the server's own certificate will do."""
    insecure_skip_verify: bool | None = None
    """Trust whoever answers: the certificate is not checked, and the status says so."""


class Endpoint(SpecObject):
    """An OpenAI-compatible server that stands already: nothing is deployed, changed or deleted."""

    dialect: ClassVar[Dialect] = "openai"

    rules = (
        exactly_one("url", "serviceRef", "inferenceServiceRef"),
        Rule(
            sentence="is for https://, and the url is http://: remove tls, or correct the url",
            cel="!has(self.tls) || !has(self.url) || self.url.startsWith('https://')",
            holds=lambda self: self.tls is None or self.url is None or self.url.startswith("https://"),
            field=".tls",
        ),
        Rule(
            sentence="stands beside a reference; with url it is a part of that: move it to the url's end",
            cel="!(has(self.path) && has(self.url))",
            holds=lambda self: self.path is None or self.url is None,
            field=".path",
        ),
        Rule(
            sentence="a token is sent only where nobody else can read it: use https:// without insecureSkipVerify, or a "
            "Service of this cluster by a name that ends in .svc or .svc.cluster.local",
            cel="!has(self.tokenSecretRef) || !has(self.url) || self.url.startsWith('https://') && !(has(self.tls) && "
            "has(self.tls.insecureSkipVerify) && self.tls.insecureSkipVerify) || "
            f"self.url.matches({text(f'^(?:{CLUSTER_LOCAL})$')})",
            holds=lambda self: self.url is None or self.token_is_safe(self.url),
            field=".tokenSecretRef",
        ),
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
    token_secret_ref: SecretKeyRef | None = None
    """A bearer token, sent with every request. It goes to the load pod alone; the operator never reads it."""
    tls: EndpointTls | None = None
    """How its certificate is checked. Where absent: against the CAs of the operator's image. A Service by reference is
    spoken to over TLS if, and only if, this is set; {} will do."""

    @property
    def ca(self) -> ConfigMapKeyRef | None:
        """The CA certificates to trust, where the user names them."""
        return self.tls.ca_config_map_ref if self.tls is not None else None

    def token_is_safe(self, url: str) -> bool:
        """There is no token, or it goes over a verified TLS connection, or never leaves the cluster."""
        verified = url.startswith("https://") and not (self.tls is not None and self.tls.insecure_skip_verify)
        return self.token_secret_ref is None or verified or re.fullmatch(CLUSTER_LOCAL, url) is not None
