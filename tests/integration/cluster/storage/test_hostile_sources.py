"""Models from people who mean harm: the storage initializer, as a process, stays in its folder."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import boto3
import pytest
from moto.server import ThreadedMotoServer

KEPT = "not to be touched"


class Initializer(NamedTuple):
    """The initializer on folders of a test; ``outside`` is what it must not reach."""

    folder: Path
    claims: Path
    outside: Path

    def run(self, uri: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Fetch, as the supervisor has it done."""
        command = [sys.executable, "-m", "calumma.cluster.storage", uri, str(self.folder)]
        return subprocess.run(
            [*command, "--claims", str(self.claims)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def refuses(self, uri: str, *words: str, **environment: str) -> None:
        """Fetching fails with one sentence that has these words, and leaves nothing behind."""
        done = self.run(uri, **environment)
        assert done.returncode == 1, done
        last = done.stderr.strip().splitlines()[-1]
        assert all(word in last for word in words), last
        assert "Traceback" not in last
        assert not self.folder.exists()


@pytest.fixture
def initializer(tmp_path: Path) -> Iterator[Initializer]:
    """An initializer with a claim ``models``; whatever lies around its folder stays as it was."""
    outside = tmp_path / "home"
    claims = outside / "claims"
    (claims / "models/digits/1").mkdir(parents=True)
    (claims / "models/digits/1/model.onnx").write_text("a model")
    (outside / "credentials").mkdir()
    (outside / "credentials/ca.key").write_text(KEPT)
    pod = outside / "models/default"
    pod.mkdir(parents=True)
    yield Initializer(pod / "pod", claims, outside)
    found = {path for path in tmp_path.rglob("*") if (pod / "pod") not in path.parents}
    known = {pod / "pod", *(claims / "models").rglob("*"), claims / "models", claims, outside}
    known |= {outside / "credentials", outside / "credentials/ca.key", outside / "models", pod}
    assert found - known <= set(tmp_path.glob("*.t*")) | set(tmp_path.glob("*.zip"))
    assert (outside / "credentials/ca.key").read_text() == KEPT


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("pvc://../credentials", "is no name of a claim"),
        ("pvc://..", "is no name of a claim"),
        ("pvc://./models", "is no name of a claim"),
        ("pvc://models:80/digits", "is no name of a claim"),
        ("pvc://%2e%2e/credentials", "is no name of a claim"),
        ("pvc://models\\..\\..", "is no name of a claim"),
        ("pvc:///digits", "there is no claim"),
        ("pvc://[::1/x", "Invalid IPv6 URL"),
        ("pvc://models/../../credentials", "leads out of the claim"),
        ("pvc://models/digits/%2e%2e/%2e%2e/%2e%2e/credentials", "leads out of the claim"),
        ("pvc://models/..%2f..%2fcredentials", "leads out of the claim"),
        ("pvc://models//etc/passwd", "no 'etc/passwd' in the claim"),
        ("pvc://models/%00", "null byte"),
        ("pvc://models/digits/9", "no 'digits/9'"),
        ("file:///no/such/thing", "does not exist"),
        ("ftp://example.com/x", "Cannot recognize storage type"),
    ],
)
def test_paths(initializer: Initializer, uri: str, word: str) -> None:
    initializer.refuses(uri, word)


@pytest.mark.parametrize("at", ["out", "digits/out", "digits/1/out"])
@pytest.mark.parametrize("to", ["credentials", "credentials/ca.key", "/etc", "/proc/self/environ"])
def test_links_in_a_claim(initializer: Initializer, at: str, to: str) -> None:
    link = initializer.claims / "models" / at
    link.symlink_to(initializer.outside / to)
    try:
        initializer.refuses("pvc://models", "is a link that leads out of the claim 'models'")
    finally:
        link.unlink()


def test_links_within_a_claim(initializer: Initializer) -> None:
    link = initializer.claims / "models/digits/latest"
    link.symlink_to("1")
    assert initializer.run("pvc://models/digits").returncode == 0
    assert (initializer.folder / "latest/model.onnx").read_text() == "a model"


def entry(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """One entry of an archive, with content where it is a file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    content = b"evil" if kind == tarfile.REGTYPE else b""
    info.size = len(content)
    return info, content


ENTRIES = {
    "parent": [entry("../../../credentials/ca.key")],
    "absolute": [entry("/tmp/calumma-evil")],
    "symlink": [entry("a", tarfile.SYMTYPE, "../../../credentials"), entry("a/ca.key")],
    "absolute symlink": [entry("a", tarfile.SYMTYPE, "/etc"), entry("a/calumma-evil")],
    "hardlink": [entry("a", tarfile.LNKTYPE, "../../../credentials/ca.key"), entry("a")],
    "device": [entry("zero", tarfile.CHRTYPE)],
    "pipe": [entry("pipe", tarfile.FIFOTYPE)],
    "two steps": [
        entry("a", tarfile.SYMTYPE, "."),
        entry("a/b", tarfile.SYMTYPE, ".."),
        entry("a/b/../../credentials/ca.key"),
    ],
}


def archive(path: Path, entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files with the types that a storage library expects."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server on the test's folder; its address."""
    handler = functools.partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("name", ENTRIES)
def test_archives(initializer: Initializer, web: str, tmp_path: Path, name: str) -> None:
    archive(tmp_path / "evil.tgz", ENTRIES[name])
    done = initializer.run(f"{web}/evil.tgz")
    assert not Path("/tmp/calumma-evil").exists()
    assert not Path("/etc/calumma-evil").exists()
    if done.returncode == 0:
        left = list(initializer.folder.rglob("*"))
        assert all(path.resolve().is_relative_to(initializer.folder) for path in left)
    else:
        assert f"{web}/evil.tgz" in done.stderr.splitlines()[-1]


def test_an_archive_in_a_claim(initializer: Initializer) -> None:
    path = initializer.claims / "models/evil.tar.gz"
    archive(path, ENTRIES["parent"])
    try:
        initializer.refuses("pvc://models/evil.tar.gz", "pvc://models/evil.tar.gz")
    finally:
        path.unlink()


@pytest.mark.parametrize("name", ["../../../credentials/ca.key", "/tmp/calumma-evil", "..\\..\\x"])
def test_zip_files(initializer: Initializer, web: str, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr(name, "evil")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "../../../credentials")
    assert initializer.run(f"{web}/evil.zip").returncode == 0
    assert not Path("/tmp/calumma-evil").exists()
    left = list(initializer.folder.rglob("*"))
    assert left
    assert all(path.resolve().is_relative_to(initializer.folder) for path in left)


def test_no_archive_at_all(initializer: Initializer, web: str, tmp_path: Path) -> None:
    (tmp_path / "evil.tgz").write_bytes(gzip.compress(b"no archive" * 1000))
    initializer.refuses(f"{web}/evil.tgz", f"{web}/evil.tgz")


@pytest.fixture
def s3() -> Iterator[tuple[dict[str, str], Callable[[str], None]]]:
    """An S3 server: how to reach it, and a way to put an object there."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="hostile")

    def put(key: str) -> None:
        client.put_object(Bucket="hostile", Key=key, Body=b"evil")

    yield environment, put
    server.stop()


def test_keys_of_a_bucket(
    initializer: Initializer, s3: tuple[dict[str, str], Callable[[str], None]]
) -> None:
    environment, put = s3
    for key in ("d/good", "d/../../../credentials/ca.key", "d/a/../../../../credentials/x"):
        put(key)
    put("d/../../../../out")
    assert initializer.run("s3://hostile/d", **environment).returncode == 0
    left = {path.name for path in initializer.folder.rglob("*")}
    assert left == {"good"}


def test_a_bomb_leaves_the_disk_its_reserve(
    initializer: Initializer, web: str, tmp_path: Path
) -> None:
    """30 MB of zeros for each file, ten files, on a disk of 64 MB."""
    small = initializer.folder.parent
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(small)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this user may not mount a small disk: {mounted.stderr.strip()}")
    try:
        with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            for number in range(10):
                packed.writestr(f"{number}", bytes(30 << 20))
        initializer.refuses(f"{web}/bomb.zip", "it would leave less than 32 MB on the disk")
        assert os.statvfs(small).f_bavail == os.statvfs(small).f_blocks
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)
