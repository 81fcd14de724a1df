"""What the network reaches, who may open which file, and where secrets are not written."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from support.cluster import Cluster, manifest, running

_LISTEN = "0A"
SECRETS = ("AKIA-hunter2-key", "hunter2-very-secret", "hf_hunter2hunter2", "hunter2-header")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Cluster]:
    """A cluster that is open to the network, with a service and one that uses secrets."""
    home = tmp_path_factory.mktemp("open")
    claim = ("--claim", f"models={models}")
    with running(home, "--address", "0.0.0.0", *claim) as cluster:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "s3",
                "annotations": {
                    "serving.kserve.io/s3-endpoint": "127.0.0.1:9",
                    "serving.kserve.io/s3-usehttps": "0",
                },
            },
            "stringData": {
                "AWS_ACCESS_KEY_ID": SECRETS[0],
                "AWS_SECRET_ACCESS_KEY": SECRETS[1],
                "HF_TOKEN": SECRETS[2],
                "https-host": "models.example",
                "headers": f'{{"authorization": "{SECRETS[3]}"}}',
            },
        }
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "keyed"},
            "secrets": [{"name": "s3"}],
        }
        keyed = manifest(name="keyed", serviceAccountName="keyed")
        keyed["spec"]["predictor"]["model"]["storageUri"] = "s3://bucket/digits"
        for document in (secret, account, keyed, manifest()):
            done = cluster.kubectl("apply", "-f", "-", document=document)
            assert done.code == 0, done.error
        cluster.until_ready()
        cluster.until(
            "the other has failed",
            lambda: "s3://bucket/digits" in cluster.kubectl("describe", "isvc", "keyed").output,
        )
        yield cluster


def listening(number: int) -> Iterator[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]:
    """The addresses and ports on which a process listens, as the kernel has them.

    None for one that has ended meanwhile, as those that fail and are tried again do.
    """
    sockets, lines = set(), list[str]()
    with contextlib.suppress(OSError):
        for handle in Path(f"/proc/{number}/fd").iterdir():
            with contextlib.suppress(OSError):
                sockets.add(str(handle.readlink()))
        for table in ("tcp", "tcp6"):
            lines += Path(f"/proc/{number}/net/{table}").read_text().splitlines()[1:]
    for line in lines:
        fields = line.split()
        if fields[3] == _LISTEN and f"socket:[{fields[9]}]" in sockets:
            text, port = fields[1].split(":")
            words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
            found = ipaddress.ip_address(b"".join(words))
            yield getattr(found, "ipv4_mapped", None) or found, int(port, 16)


def test_only_the_gateway_listens_to_the_network(served: Cluster) -> None:
    """Of everything that the cluster started: the control plane, Envoy, Triton, transformers."""
    gateway = served.settings()["gateway_port"]
    found = {at for number in served.processes() for at in listening(number)}
    outside = {(where, port) for where, port in found if not where.is_loopback}
    assert {port for _, port in outside} == {gateway}, outside
    assert len(found) > 5


@pytest.mark.parametrize("path", ["/config_dump", "/quitquitquit", "/logging", "/certs", "/stats"])
def test_envoys_admin_interface_has_no_port(served: Cluster, path: str) -> None:
    settings = served.settings()
    for port in (settings["gateway_port"], settings["statistics_port"]):
        answer = httpx.post(f"http://127.0.0.1:{port}{path}")
        assert answer.status_code in (403, 404, 405), port
    assert stat.S_IMODE(served.home.envoy_admin.stat().st_mode) == 0o600


def test_what_only_its_owner_may_open(served: Cluster) -> None:
    home = served.home
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.credentials.stat().st_mode) == 0o700
    private = [*home.credentials.iterdir(), home.kubeconfig]
    private += [home.supervisor_socket, home.envoy_admin]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_secrets_are_not_told(served: Cluster) -> None:
    """Neither in a log, nor in a file that programs are started from, nor by describing things."""
    tokens = [path.read_text() for path in served.home.credentials.glob("*.token")]
    assert len(tokens) == 2
    wanted = [*SECRETS, *tokens]
    wanted += [base64.b64encode(text.encode()).decode() for text in wanted]
    told = {
        str(path): path.read_text(errors="replace")
        for folder in (served.home.logs, served.home.run, served.home.envoy, served.home.prometheus)
        for path in folder.rglob("*")
        if path.is_file()
    }
    for words in (
        *(("describe", kind, "-A") for kind in ("isvc", "pods", "secrets", "events")),
        *(("get", kind, "-A", "-o", "yaml") for kind in ("isvc", "pods", "events", "sa")),
    ):
        done = served.kubectl(*words)
        assert done.code == 0, done.error
        told[" ".join(words)] = done.output
    told["status"] = served.calumma("status").output
    assert [where for where, text in told.items() if any(each in text for each in wanted)] == []
    commands = [" ".join(psutil.Process(pid).cmdline()) for pid in served.processes()]
    assert not [line for line in commands if any(each in line for each in wanted)]


def test_kubectl_verifies_the_server(served: Cluster, tmp_path: Path) -> None:
    foreign = tmp_path / "kubeconfig"
    text = served.home.kubeconfig.read_text()
    start = text.index('"certificate-authority-data": "') + 31
    end = text.index('"', start)
    foreign.write_text(text[:start] + text[end:])
    refused = served.kubectl("--kubeconfig", str(foreign), "get", "isvc")
    assert refused.code == 1
    assert "certificate signed by unknown authority" in refused.error
