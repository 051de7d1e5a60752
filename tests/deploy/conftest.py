"""A certificate for the proxies."""

import pytest

from tests.deploy.proxies import Certificate, make_certificate


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for the names in docs/deploy."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))
