"""How a server that is not ours is reached: its URL, the token that it asks for, and whose certificate it must show."""

import re

from enginebench.api.base import SpecObject
from enginebench.api.refs import ConfigMapKeyRef, SecretKeyRef
from enginebench.api.rules import Rule, text

BASE_PATH = "(/[-A-Za-z0-9._~%]+)*"
URL = "https?://([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\\[[0-9a-fA-F:]+\\])(:[0-9]{1,5})?" + BASE_PATH
"""A base URL: no user, no query, no slash at the end."""
CLUSTER_LOCAL = "https?://[-A-Za-z0-9.]+[.]svc([.]cluster[.]local)?(:[0-9]+)?(/.*)?"
"""URLs of the cluster's own Services, by the names that cannot mean anything else."""


class Tls(SpecObject):
    """How the certificate of an https:// URL is checked."""

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
    """Trust whoever answers: the certificate is not checked."""


class Secured(SpecObject):
    """What a server may ask of us, and we of it; `url` and `tls` are fields of those that have it."""

    url: str | None
    tls: Tls | None = None
    """How its certificate is checked. Where absent: against the CAs of the operator's image."""
    token_secret_ref: SecretKeyRef | None = None
    """A bearer token, sent with every request. It goes to the load pod alone; the operator never reads it."""

    @property
    def ca(self) -> ConfigMapKeyRef | None:
        """The CA certificates to trust, where the user names them."""
        return self.tls.ca_config_map_ref if self.tls is not None else None

    def token_is_safe(self, url: str) -> bool:
        """There is no token, or it goes over a verified TLS connection, or never leaves the cluster."""
        verified = url.startswith("https://") and not (self.tls is not None and self.tls.insecure_skip_verify)
        return self.token_secret_ref is None or verified or re.fullmatch(CLUSTER_LOCAL, url) is not None


TLS_IS_FOR_HTTPS = Rule(
    sentence="is for https://, and the url is http://: remove tls, or correct the url",
    cel="!has(self.tls) || !has(self.url) || self.url.startsWith('https://')",
    holds=lambda self: self.tls is None or self.url is None or self.url.startswith("https://"),
    field=".tls",
)
TOKEN_IS_SAFE = Rule(
    sentence="a token is sent only where nobody else can read it: use https:// without insecureSkipVerify, or a "
    "Service of this cluster by a name that ends in .svc or .svc.cluster.local",
    cel="!has(self.tokenSecretRef) || !has(self.url) || self.url.startsWith('https://') && !(has(self.tls) && "
    "has(self.tls.insecureSkipVerify) && self.tls.insecureSkipVerify) || "
    f"self.url.matches({text(f'^(?:{CLUSTER_LOCAL})$')})",
    holds=lambda self: self.url is None or self.token_is_safe(self.url),
    field=".tokenSecretRef",
)
