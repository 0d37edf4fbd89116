"""Certificates for tests of the transport, made once."""

import pytest

from tests.frontend.transport.clients.ways import make_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))
