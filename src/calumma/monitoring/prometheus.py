"""Where Prometheus is, and installing it where it is missing.

It is taken from ``PATH``, else from the user's cache folder. Installing uses Debian's package when
that is possible (root, apt), otherwise the project's release archive, checked against a SHA-256
that is written here. Where neither works the error says what a person can do.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from calumma import errors

RELEASES = "https://github.com/prometheus/prometheus/releases/download"
PROGRAMS = ("prometheus", "promtool")

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Release:
    """A version, and the SHA-256 of its archive for each platform that Calumma runs on."""

    version: str
    sha256: Mapping[str, str]

    def name(self, target: str) -> str:
        """The name of the archive without its suffix, and of the only folder in it."""
        return f"prometheus-{self.version}.{target}"


# The last long-term release of Prometheus 2, which speaks as Debian's 2.42 does.
RELEASE = Release(
    "2.53.4",
    {
        "linux-amd64": "b8b497c4610d1b93208252b60c8f20f6b2e78596ae8df43397a2e805aa53d475",
        "linux-arm64": "ec7236ecea7154d0bfe142921708b1ae7b5e921e100e0ee85ab92b7c444357e0",
    },
)


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's folder for downloaded programs."""
    base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "calumma" / "prometheus"


def find(program: str = "prometheus") -> Path:
    """The path of ``prometheus`` or ``promtool``.

    Raises :class:`~calumma.errors.ProgramMissing` when it is nowhere.
    """
    found = shutil.which(program) or shutil.which(program, path=str(cache()))
    if found is None:
        raise errors.ProgramMissing(
            f"{program} is neither on PATH nor in {cache()}; run `calumma install prometheus`, "
            "or install your system's package `prometheus`"
        )
    return Path(found)


def install(releases: str = RELEASES) -> Path:
    """Make sure that Prometheus is here, and say where.

    ``releases`` is where release archives are downloaded from: a mirror may be nearer. Raises
    :class:`~calumma.errors.ProgramMissing` when it can neither be found nor installed.
    """
    try:
        return find()
    except errors.ProgramMissing:
        pass
    if os.geteuid() == 0 and shutil.which("apt-get") and _install_by_apt():
        return find()
    download(RELEASE, releases, cache())
    return find()


def download(release: Release, releases: str, folder: Path) -> None:
    """Put a release's programs into ``folder``, from the archive below the URL ``releases``.

    Raises :class:`~calumma.errors.ProgramMissing` when there is none for this platform, it cannot
    be had, or it is not the one that was expected; the folder then stays as it was.
    """
    target = f"{sys.platform}-{_ARCHITECTURES.get(platform.machine(), platform.machine())}"
    if target not in release.sha256:
        raise errors.ProgramMissing(
            f"Prometheus {release.version} is known here for {', '.join(release.sha256)}, and this "
            f"machine is {target}; install your system's package `prometheus`"
        )
    name = release.name(target)
    url = f"{releases.rstrip('/')}/v{release.version}/{name}.tar.gz"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        archive = Path(scratch) / "archive.tar.gz"
        digest = _fetch(url, archive)
        if digest != release.sha256[target]:
            raise errors.ProgramMissing(
                f"{url} is not the expected archive: its SHA-256 is {digest}, "
                f"and {release.sha256[target]} was expected; nothing was installed"
            )
        unpacked = [_unpack(archive, f"{name}/{program}", Path(scratch)) for program in PROGRAMS]
        for program in unpacked:
            program.replace(folder / program.name)


def _install_by_apt() -> bool:
    """Install Debian's package, its progress on our terminal; whether that worked."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", "prometheus"]):
        # A foreground program on our own terminal needs nothing of calumma.cluster.node.process.
        pid = os.posix_spawnp("apt-get", ["apt-get", "-q", *arguments], environment)
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _fetch(url: str, into: Path) -> str:
    """Download a file; its SHA-256."""
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=60) as response, into.open("wb") as file:
            while chunk := response.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
    except (urllib.error.URLError, OSError) as error:
        raise errors.ProgramMissing(
            f"Prometheus is missing and {url} cannot be downloaded ({error}); install your "
            "system's package `prometheus`, or run `calumma install prometheus` with a network"
        ) from error
    return digest.hexdigest()


def _unpack(archive: Path, member: str, folder: Path) -> Path:
    """Copy one program out of an archive: no other name in it is ever written."""
    into = folder / Path(member).name
    try:
        with tarfile.open(archive) as tar:
            source = tar.extractfile(member)
            if source is None:
                raise KeyError(f"{member} is not a regular file")
            with source, into.open("wb") as file:
                shutil.copyfileobj(source, file)
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise errors.ProgramMissing(f"the archive has no usable {member}: {error}") from error
    into.chmod(0o755)
    return into
