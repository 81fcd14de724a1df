"""Finding and installing Prometheus: archives from a real HTTP server, good and bad."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import platform
import socket
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from calumma import errors
from calumma.monitoring import prometheus

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
TARGET = f"{sys.platform}-{ARCHITECTURE}"
FOLDER = f"prometheus-9.9.9.{TARGET}"


class Mirror:
    """A folder of releases behind a URL."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url

    def publish(self, members: dict[str, bytes], symlink: str | None = None) -> prometheus.Release:
        """An archive of these files, as a release with its checksum."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            if symlink:
                info = tarfile.TarInfo(symlink)
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(info)
        path = self.root / "v9.9.9" / f"{FOLDER}.tar.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(buffer.getvalue())
        return prometheus.Release("9.9.9", {TARGET: hashlib.sha256(buffer.getvalue()).hexdigest()})


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    root = tmp_path / "mirror"
    root.mkdir()
    handler = functools.partial(Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield Mirror(root, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


GOOD = {
    f"{FOLDER}/prometheus": b"#!/bin/sh\necho prometheus\n",
    f"{FOLDER}/promtool": b"#!/bin/sh\necho promtool\n",
    f"{FOLDER}/consoles/index.html": b"not needed",
}


def test_a_release_is_unpacked_and_found(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(errors.ProgramMissing, match="calumma install prometheus"):
        prometheus.find()
    folder = prometheus.cache(os.environ)
    prometheus.download(mirror.publish(GOOD), mirror.url, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["prometheus", "promtool"]
    for program in ("prometheus", "promtool"):
        found = prometheus.find(program)
        assert found == folder / program
        assert os.access(found, os.X_OK) and found.read_bytes() == GOOD[f"{FOLDER}/{program}"]


def test_an_archive_with_another_checksum_is_refused_and_leaves_nothing(
    mirror: Mirror, tmp_path: Path
) -> None:
    mirror.publish(GOOD)
    expected = prometheus.Release("9.9.9", {TARGET: "0" * 64})
    with pytest.raises(errors.ProgramMissing, match="is not the expected archive"):
        prometheus.download(expected, mirror.url, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("members", "symlink"),
    [
        ({"../../evil": b"x", f"{FOLDER}/prometheus": b"x"}, None),
        ({f"{FOLDER}/promtool": b"x", "/tmp/evil": b"x"}, f"{FOLDER}/prometheus"),
    ],
    ids=["outside", "symlink"],
)
def test_nothing_else_in_an_archive_is_ever_written(
    mirror: Mirror, tmp_path: Path, members: dict[str, bytes], symlink: str | None
) -> None:
    before = {path for path in tmp_path.rglob("*") if "mirror" not in path.parts}
    with pytest.raises(errors.ProgramMissing, match="has no usable"):
        prometheus.download(mirror.publish(members, symlink), mirror.url, tmp_path / "cache")
    after = {path for path in tmp_path.rglob("*") if "mirror" not in path.parts}
    assert after - before == {tmp_path / "cache"}


def test_a_missing_archive_and_a_missing_network_say_what_to_do(
    mirror: Mirror, tmp_path: Path
) -> None:
    release = prometheus.Release("8.8.8", {TARGET: "0" * 64})
    with pytest.raises(errors.ProgramMissing, match=r"404.*install your system's package"):
        prometheus.download(release, mirror.url, tmp_path / "cache")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(errors.ProgramMissing, match="cannot be downloaded"):
            prometheus.download(release, nobody, tmp_path / "cache")


def test_a_platform_without_a_known_archive_is_named(tmp_path: Path) -> None:
    release = prometheus.Release("9.9.9", {"plan9-vax": "0" * 64})
    with pytest.raises(errors.ProgramMissing, match=f"known here for plan9-vax.*{TARGET}"):
        prometheus.download(release, "http://127.0.0.1:1", tmp_path)


def test_the_pinned_release_is_known_for_both_platforms() -> None:
    assert set(prometheus.RELEASE.sha256) == {"linux-amd64", "linux-arm64"}
    assert all(len(digest) == 64 for digest in prometheus.RELEASE.sha256.values())


def test_installing_what_is_there_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "prometheus"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert prometheus.install("http://127.0.0.1:1") == program


def test_apt_is_used_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program called apt-get that installs what it is asked for into the same folder."""
    if os.geteuid() != 0:
        pytest.skip("apt is only used by root")
    folder = tmp_path / "bin"
    folder.mkdir()
    apt = folder / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ "$2" = install ] || exit 100\n'
        f"for last; do :; done\n/bin/cp {apt} {folder}/$last\n"
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert prometheus.install("http://127.0.0.1:1") == folder / "prometheus"
    update, install = (tmp_path / "asked").read_text().splitlines()
    assert update == "-q update"
    assert install == "-q install -y --no-install-recommends prometheus"
