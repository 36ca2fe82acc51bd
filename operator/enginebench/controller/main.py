"""`enginebench operator`: starts, waits for its CRD, and runs until it is told to stop."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial

import kopf
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException

from enginebench.api.v1alpha1 import GROUP
from enginebench.cluster.api import ApiError, Unavailable
from enginebench.cluster.client import Client, configuration
from enginebench.controller.handlers import registry, settings
from enginebench.controller.operator import Operator
from enginebench.engines.base import Platform

logger = logging.getLogger(__name__)

ALL = "all"
CRD_PAUSE = 5.0
NOT_FOUND = 404
OPENSHIFT_GROUP = "security.openshift.io"
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""OLM sets the first three where the cluster has a proxy."""


def main(argv: Sequence[str]) -> int:
    """Run the operator; 0 after SIGTERM, 1 where it cannot run, with the reason on stderr."""
    options = _parser().parse_args(argv)
    if not options.image:
        print("enginebench operator: set ENGINEBENCH_IMAGE to this program's own image", file=sys.stderr)  # noqa: T201
        return 1
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_operate(options))
    except ConfigException as error:
        print(f"enginebench operator: no way to a Kubernetes API server: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except ApiError as error:
        print(f"enginebench operator: {error}; see manifests/ for the rights it needs", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="enginebench operator", description="Run the operator.")
    parser.add_argument(
        "--namespace",
        action="append",
        metavar="NAME",
        help=f"serve this namespace (may be given again); {ALL}, the default, serves the whole cluster",
    )
    parser.add_argument(
        "--health", default="http://0.0.0.0:8080/healthz", metavar="URL", help='where it tells its health; "" for none'
    )
    parser.add_argument(
        "--image", default=os.environ.get("ENGINEBENCH_IMAGE", ""), help="this program's own image [ENGINEBENCH_IMAGE]"
    )
    parser.add_argument(
        "--image-pull-policy",
        default=os.environ.get("ENGINEBENCH_IMAGE_PULL_POLICY", ""),
        choices=["", "Always", "IfNotPresent", "Never"],
        help="of that image [ENGINEBENCH_IMAGE_PULL_POLICY]",
    )
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser


def proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the operator's own environment shows the way out of the cluster."""
    return {name: environment[name] for name in PROXY_VARIABLES if environment.get(name)}


async def _operate(options: argparse.Namespace) -> None:
    namespaces = [] if not options.namespace or ALL in options.namespace else sorted(set(options.namespace))
    config = await configuration()
    async with Client(config) as client:
        await _crd_served(client, namespaces or [""])
        platform = Platform(
            image=options.image,
            image_pull_policy=options.image_pull_policy,
            fixed_ids=not await client.serves(OPENSHIFT_GROUP),
            proxy=proxy(os.environ),
        )
        operator = Operator(client, platform)
        await kopf.operator(
            registry=registry(operator, partial(_login, config)),
            settings=settings(),
            clusterwide=not namespaces,
            namespaces=namespaces,
            standalone=True,
            liveness_endpoint=options.health or None,
        )


async def _crd_served(client: Client, namespaces: Sequence[str]) -> None:
    """Wait until runs can be listed. Raises ApiError where that is refused."""
    while True:
        try:
            for namespace in namespaces:
                await client.list("BenchmarkRun", namespace)
        except Unavailable as error:
            logger.warning("the API server does not answer: %s", error)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            logger.warning("the CRD benchmarkruns.%s is not installed: kubectl apply --server-side -k crds/", GROUP)
        else:
            return
        await asyncio.sleep(CRD_PAUSE)


async def _login(config: Configuration) -> kopf.ConnectionInfo:
    """kopf gets the very credentials of our own client, as they are now."""
    token = await config.get_api_key_with_prefix("BearerToken", alias="authorization")
    scheme, _, secret = (token or "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=config.host,
        ca_path=config.ssl_ca_cert,
        insecure=not config.verify_ssl,
        scheme=scheme or None,
        token=secret or None,
        certificate_path=config.cert_file,
        private_key_path=config.key_file,
    )
