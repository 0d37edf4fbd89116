"""TLS of the ports, by Python's `ssl`."""

import ssl
from collections.abc import Sequence


class BadCertificate(Exception):
    """A certificate or key cannot be used. The text is one line and names the file."""


def context_of(
    certificate: str, key: str, client_ca: str, protocols: Sequence[str]
) -> ssl.SSLContext:
    """Return the TLS of a port that speaks these protocols (ALPN). Raises `BadCertificate`.

    `certificate`, `key`: files in PEM. `client_ca`: a file of authorities; clients must show a certificate of one of
    them. Empty: they need none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise BadCertificate(f"cannot use {certificate} with {key}: {error}") from error
    if client_ca:
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ssl.SSLError) as error:
            raise BadCertificate(f"cannot use {client_ca}: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context
