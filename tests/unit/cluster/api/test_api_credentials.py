"""Credentials: made once, renewed in time, readable by their owner only."""

from __future__ import annotations

import json
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from calumma import errors
from calumma.cluster import credentials, layout

SERVER = "https://127.0.0.1:6443"


@pytest.fixture
def home(tmp_path: Path) -> layout.Home:
    made = layout.Home(tmp_path / "home")
    credentials.ensure(made, SERVER)
    return made


def contents(home: layout.Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.credentials.iterdir()}


def test_nothing_is_made_twice(home: layout.Home) -> None:
    before = contents(home), home.kubeconfig.read_bytes()
    credentials.ensure(home, SERVER)
    assert (contents(home), home.kubeconfig.read_bytes()) == before


def test_another_port_changes_the_kubeconfigs_only(home: layout.Home) -> None:
    before = contents(home)
    credentials.ensure(home, "https://127.0.0.1:7443")
    assert "127.0.0.1:7443" in home.kubeconfig.read_text()
    after = contents(home)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {home.node_kubeconfig.name}


def test_a_certificate_near_its_end_is_renewed(home: layout.Home) -> None:
    files = credentials.Files.of(home)
    text = files.certificate.read_text()
    soon = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    files.certificate.write_text(f"Not After: {soon}\n{text.split(chr(10), 1)[1]}")
    authority = files.authority.read_bytes()
    credentials.ensure(home, SERVER)
    found = x509.load_pem_x509_certificate(_pem(files.certificate))
    assert found.not_valid_after_utc - datetime.now(UTC) > timedelta(days=300)
    assert files.authority.read_bytes() == authority


def _pem(path: Path) -> bytes:
    content = path.read_bytes()
    return content[content.index(b"-----BEGIN") :]


def test_the_certificate_is_for_this_machine_and_for_serving(home: layout.Home) -> None:
    files = credentials.Files.of(home)
    certificate = x509.load_pem_x509_certificate(_pem(files.certificate))
    authority = x509.load_pem_x509_certificate(_pem(files.authority))
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    addresses = [str(each) for each in names.get_values_for_type(x509.IPAddress)]
    assert addresses == ["127.0.0.1", "::1"]
    purpose = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purpose) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    context = ssl.create_default_context(cafile=str(files.authority))
    assert context.cert_store_stats()["x509_ca"] == 1


def test_modes_and_users(home: layout.Home) -> None:
    assert stat.S_IMODE(home.credentials.stat().st_mode) == 0o700
    for path in [*home.credentials.iterdir(), home.kubeconfig]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = json.loads(home.kubeconfig.read_text())
    assert config["current-context"] == "calumma"
    users = credentials.tokens(home)
    (person,) = [token for token, (name, _) in users.items() if name == credentials.PERSON]
    assert config["users"][0]["user"]["token"] == person
    assert len(person) >= 40
    assert len(users) == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(errors.ConfigurationError, match="cannot be written"):
        credentials.ensure(layout.Home(tmp_path / "home"), SERVER)


def test_missing_tokens_are_named(home: layout.Home) -> None:
    credentials.Files.of(home).node_token.unlink()
    with pytest.raises(errors.ConfigurationError, match="cannot be read"):
        credentials.tokens(home)
