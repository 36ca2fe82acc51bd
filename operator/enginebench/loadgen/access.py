"""How the engine, or a Prometheus, is reached: its address, the token that it asks for, whose certificate it must show."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import replace

from enginebench.api.loadplan import AccessPlan, LoadPlan
from enginebench.loadgen.address import Address, parse

_TOKEN = re.compile(r"[!#-&(-\[\]-~]+")
"""What can stand in a header and in an error text unchanged: visible ASCII but quotes and backslash; RFC 6750's
tokens are among it."""


def address_of(plan: LoadPlan, environment: Mapping[str, str]) -> Address:
    """The plan's engine; ValueError says what is wrong with its URL, its token or its CA, and never shows the token."""
    return reached(plan.url, plan.access, environment)


def reached(url: str, access: AccessPlan, environment: Mapping[str, str]) -> Address:
    """A server by its URL, with what it takes to be let in; ValueError as above."""
    address = parse(url)
    if access.token_from:
        address = replace(address, token=_token(environment, access))
    return replace(address, tls=tls_context(access)) if address.scheme == "https" else address


def _token(environment: Mapping[str, str], access: AccessPlan) -> str:
    """The bearer token; the newline that a file ends with is no part of it."""
    found, origin = environment.get(access.token_variable, "").strip(), access.token_from
    if not found:
        raise ValueError(f"{access.said_in}.tokenSecretRef: the {origin} is empty; put the token into it")
    if not _TOKEN.fullmatch(found):
        raise ValueError(
            f"{access.said_in}.tokenSecretRef: the {origin} holds what no bearer token may: a space, a line break, a "
            "quote, a backslash or a character beyond ASCII; put the token alone into it"
        )
    return found


def tls_context(access: AccessPlan) -> ssl.SSLContext:
    """TLS 1.2 or later, HTTP/1.1; the certificate must be for the host, and of a CA that is trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if not access.verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    # As curl and Go have it: whatever certificate the user names is trusted, be it the server's own.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not access.ca_file:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cafile=access.ca_file)
    except ssl.SSLError as error:
        raise ValueError(
            f"{access.said_in}.tls.caConfigMapRef: the {access.ca_from} holds no certificates in PEM form "
            f"({error.reason or 'not readable'}); put the CA's certificate there, beginning with "
            "-----BEGIN CERTIFICATE-----"
        ) from None
    return context
