"""GuideLLM's packages, which `make guidellm` installs for its images: every test here runs with them."""

import pytest

from tests.cluster.conftest import make
from tests.support.cluster import Cluster


@pytest.fixture(scope="session", autouse=True)
def installed(cluster: Cluster) -> None:
    make("guidellm")
