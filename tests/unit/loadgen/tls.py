"""Certificates made on the spot, good and bad, and what a plan says of them."""

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from enginebench.api.loadplan import AccessPlan

HOST = "127.0.0.1"
CA_FROM = "key ca.crt of ConfigMap my-ca"


@dataclass
class Authority:
    """A CA of a test's own."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    def context(self, *hosts: str, days: int = 30) -> ssl.SSLContext:
        """A server's, with a certificate for these hosts that expires in so many days, or did so many ago."""
        expiry = datetime.now(UTC) + timedelta(days=days)
        return _serving(self.leaf(*hosts, expiry=expiry))

    def leaf(self, *hosts: str, expiry: datetime | None = None) -> trustme.LeafCert:
        begin = min(expiry or datetime.now(UTC), datetime.now(UTC)) - timedelta(days=1)
        return self.ca.issue_cert(*(hosts or (HOST,)), not_before=begin, not_after=expiry)

    def asking_for_ours(self) -> ssl.SSLContext:
        """A server's that wants to see a client certificate."""
        context = self.context()
        self.ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    @property
    def access(self) -> AccessPlan:
        """Trust this CA."""
        return self.trusting(self.ca.cert_pem.bytes())

    def trusting(self, pem: bytes) -> AccessPlan:
        """Trust what this file holds."""
        file = self.folder / "ca.crt"
        file.write_bytes(pem)
        return AccessPlan(ca_file=str(file), ca_from=CA_FROM)


def of_leaf(leaf: trustme.LeafCert) -> tuple[ssl.SSLContext, bytes]:
    """A server's context, and its own certificate without the CA's."""
    return _serving(leaf), leaf.cert_chain_pems[0].bytes()


def _serving(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context
