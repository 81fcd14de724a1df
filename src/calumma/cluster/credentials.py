"""Certificates, tokens and kubeconfigs: how clients trust the API server, and it them.

A cluster has its own certificate authority, one server certificate for the loopback names, and two
tokens: the person's and the node's. :func:`ensure` makes what is missing and renews the server
certificate before it ends; nothing else is ever replaced, so kubeconfigs stay valid. Keys and
tokens are readable by their owner only. :mod:`calumma.cluster.apiserver` uses them; ``calumma up``
calls :func:`ensure` first, so that the server never has to load the cryptography itself.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from calumma import errors
from calumma.cluster import layout

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

PERSON: Final = "calumma-admin"
NODE: Final = "system:node:calumma"
_LIFETIME: Final = timedelta(days=365)
_AUTHORITY_LIFETIME: Final = timedelta(days=3650)
_RENEWAL: Final = timedelta(days=30)
_EXPIRY: Final = "Not After: "
"""What a certificate file says before the certificate; readers of PEM skip it (RFC 7468)."""


class Files(NamedTuple):
    """Where the credentials of a home lie."""

    authority: Path
    authority_key: Path
    certificate: Path
    key: Path
    person_token: Path
    node_token: Path

    @classmethod
    def of(cls, home: layout.Home) -> Files:
        """The files of a home."""
        folder = home.credentials
        return cls(
            folder / "ca.crt",
            folder / "ca.key",
            folder / "server.crt",
            folder / "server.key",
            folder / "person.token",
            folder / "node.token",
        )


def ensure(home: layout.Home, server: str) -> None:
    """Make what is missing, renew what ends, and write both kubeconfigs for a server's URL.

    Raises:
        errors.ConfigurationError: the files cannot be written.
    """
    files = Files.of(home)
    try:
        home.credentials.mkdir(parents=True, exist_ok=True)
        home.credentials.chmod(0o700)
        if not _fresh(files.authority) or not files.authority_key.exists():
            _make_authority(files)
            files.certificate.unlink(missing_ok=True)
        if not _fresh(files.certificate) or not files.key.exists():
            _make_certificate(files)
        for token in (files.person_token, files.node_token):
            if not token.exists():
                _write(token, secrets.token_urlsafe(32))
        _write_kubeconfig(home.kubeconfig, files, server, PERSON, files.person_token)
        _write_kubeconfig(home.node_kubeconfig, files, server, NODE, files.node_token)
    except OSError as error:
        raise errors.ConfigurationError(
            f"The credentials in {home.credentials} cannot be written: {error.strerror}. "
            "Free the disk or make the folder yours, and try again."
        ) from error


def tokens(home: layout.Home) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The tokens of a home: each with the name and the groups of its user.

    Raises:
        errors.ConfigurationError: they are not there.
    """
    files = Files.of(home)
    try:
        return {
            files.person_token.read_text(): (PERSON, ("system:masters",)),
            files.node_token.read_text(): (NODE, ("system:nodes",)),
        }
    except OSError as error:
        raise errors.ConfigurationError(
            f"The tokens in {home.credentials} cannot be read: {error.strerror}. "
            "Delete the folder; new ones are made, and kubeconfigs with them."
        ) from error


def _fresh(certificate: Path) -> bool:
    """Whether a certificate is there and has time left, as the first line of its file says."""
    try:
        with certificate.open() as file:
            first = file.readline().strip()
    except FileNotFoundError:
        return False
    if not first.startswith(_EXPIRY):
        return False
    return datetime.fromisoformat(first.removeprefix(_EXPIRY)) - _RENEWAL > datetime.now(UTC)


def _write(path: Path, content: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    draft.replace(path)


def _write_kubeconfig(path: Path, files: Files, server: str, user: str, token: Path) -> None:
    """Write a kubeconfig, unless the same one is there.

    JSON is YAML, and every reader of kubeconfigs takes it.
    """
    authority = base64.b64encode(files.authority.read_bytes()).decode()
    cluster = {"server": server, "certificate-authority-data": authority}
    context = {"cluster": "calumma", "user": user, "namespace": "default"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "calumma", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token.read_text()}}],
        "contexts": [{"name": "calumma", "context": context}],
        "current-context": "calumma",
    }
    text = json.dumps(content, indent=2) + "\n"
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, text)


def _make_authority(files: Files) -> None:
    """Make the cluster's certificate authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("calumma")
    unsigned = _unsigned(name, name, key.public_key(), _AUTHORITY_LIFETIME)
    unsigned = unsigned.add_extension(x509.BasicConstraints(True, 0), critical=True)
    unsigned = unsigned.add_extension(_usage(signs_certificates=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    _save(files.authority, files.authority_key, unsigned.add_extension(identifier, False), key, key)


def _make_certificate(files: Files) -> None:
    """Make the server's certificate, for the names of the loopback interface."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority = x509.load_pem_x509_certificate(_pem(files.authority))
    signer = serialization.load_pem_private_key(files.authority_key.read_bytes(), None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise errors.ConfigurationError(
            f"{files.authority_key} is no elliptic-curve key. Delete {files.authority.parent}; "
            "new credentials are made."
        )
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.IPAddress(ip_address("127.0.0.1")),
            x509.IPAddress(ip_address("::1")),
        ]
    )
    unsigned = _unsigned(_name("localhost"), authority.subject, key.public_key(), _LIFETIME)
    unsigned = unsigned.add_extension(names, critical=False)
    unsigned = unsigned.add_extension(x509.BasicConstraints(False, None), critical=True)
    unsigned = unsigned.add_extension(_usage(signs_certificates=False), critical=True)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    unsigned = unsigned.add_extension(purpose, critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    unsigned = unsigned.add_extension(issuer, critical=False)
    _save(files.certificate, files.key, unsigned, key, signer)


def _pem(path: Path) -> bytes:
    """The certificate in a file, without what stands before it."""
    content = path.read_bytes()
    return content[content.index(b"-----BEGIN") :]


def _name(common_name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    """A certificate to be signed; it begins a little before now, for clocks that differ."""
    from cryptography import x509

    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(key).serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + lifetime)


def _save(
    path: Path,
    key_path: Path,
    unsigned: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> None:
    """Sign a certificate and write it with its key."""
    from cryptography.hazmat.primitives import hashes, serialization

    signed = unsigned.sign(signer, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write(key_path, private.decode())
    expiry = f"{_EXPIRY}{signed.not_valid_after_utc.isoformat()}\n"
    _write(path, expiry + signed.public_bytes(serialization.Encoding.PEM).decode())
