"""GuideLLM's packages, which `make guidellm` installs for its images: every test here runs with them."""

import pytest

from tests.cluster.conftest import made


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    made("guidellm")
