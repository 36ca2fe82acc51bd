"""GuideLLM's packages, which `make guidellm` installs for its images: every test here runs with them."""

import pytest

from tests.engines.conftest import made
from tests.support.cluster import Cluster


@pytest.fixture(scope="session", autouse=True)
def installed(cluster: Cluster) -> None:
    made("guidellm")
