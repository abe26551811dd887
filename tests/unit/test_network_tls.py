"""Certificates are verified against the name in the URL; the checked address is dialled all the same."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from assent.core.errors import FetchFailed
from assent.net import client as network
from assent.net.client import ExchangeLimits, Response, request
from tests.unit.wire_server import WireServer, answer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WireServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path, "localhost"))
    with WireServer(lambda _: answer(b"over tls"), tls=context) as running:
        yield running


@pytest.fixture
def trusted(tmp_path: Path, server: WireServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[WireServer]:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    network._tls.cache_clear()
    yield server
    network._tls.cache_clear()


def self_signed(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return pem


def get(server: WireServer, host: str) -> Response:
    url = server.url("/", host, "https")
    return request("GET", url, headers={}, limits=ExchangeLimits(2, 3, 100), allow=server.allowed(host))


def test_a_trusted_certificate_for_the_name_passes(trusted: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert get(trusted, "localhost").body == b"over tls"


def test_an_unknown_issuer_does_not_pass(server: WireServer) -> None:
    with pytest.raises(FetchFailed):
        get(server, "localhost")
    assert server.requests == []


def test_a_certificate_for_another_name_does_not_pass(trusted: WireServer) -> None:
    with pytest.raises(FetchFailed):
        get(trusted, "127.0.0.1")
    assert trusted.requests == []
