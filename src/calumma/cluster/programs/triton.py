"""The ``tritonserver`` of the nvidia-pytriton wheel, run as NVIDIA's container would run it.

A ServingRuntime writes its arguments for a container: the model repository at ``/mnt/models``,
the container's own ports, every interface. :func:`program` keeps each of them that can be kept
and translates the rest to this machine, where a pod has a folder and ports of its own and listens
on loopback only. :func:`backend_links` says what Triton's backend directory holds, and
:func:`failure` finds in a log why a server did not start. Nothing here starts a process or
writes a file; :mod:`calumma.cluster.node` does.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from calumma import errors
from calumma.cluster.programs import program as programs

MOUNT = PurePosixPath("/mnt/models")

BACKENDS = {"onnxruntime": (), "pytorch": ("signature", "torchscript")}
"""Triton backends of our own, and the modules that each has beside its ``model.py``."""

_REPOSITORY = ("model-store", "model-repository")

# Set here for every pod; what the arguments say about them is about the container's network.
_OWN = (
    "http-address",
    "http-port",
    "grpc-address",
    "grpc-port",
    "metrics-address",
    "metrics-port",
)

_REFUSED = {
    "allow-sagemaker": "it opens a port that the gateway does not know",
    "allow-vertex-ai": "it opens a port that the gateway does not know",
    "grpc-use-ssl": "the gateway reaches pods in plain text on loopback",
    "grpc-use-ssl-mutual": "the gateway reaches pods in plain text on loopback",
    "backend-directory": f"the cluster provides the backends: {', '.join(BACKENDS)}, python",
    "repoagent-directory": "the nvidia-pytriton wheel has no repository agents",
    "cache-directory": "the cluster provides the caches",
}

_FLAGS_WITHOUT_VALUE = ("disable-auto-complete-config", "help")

_FALSE = ("false", "False", "FALSE", "0")


def installation() -> Path:
    """The folder of the wheel's ``tritonserver``: ``bin``, ``backends``, ``caches``.

    Raises :class:`~calumma.errors.ConfigurationError` where the wheel is not installed.
    """
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise errors.ConfigurationError(
            "Triton is not installed: this Python has no package nvidia-pytriton."
        )
    return Path(spec.origin).parent / "tritonserver"


def backend_links() -> Mapping[str, Path]:
    """Each name in Triton's backend directory, and the file that it is.

    The names under ``python/`` must be hard links or copies: Triton refuses a backend library
    that a symbolic link leads out of its backend directory.
    """
    server = installation()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = "triton_python_backend_stub"
    links = {
        "python/libtriton_python.so": server / "backends/python/libtriton_python.so",
        "python/triton_python_backend_utils.py": (
            server / "backends/python/triton_python_backend_utils.py"
        ),
        f"python/{stub}": server / "python_backend_stubs" / version / stub,
    }
    own = Path(__file__).parent / "backends"
    for backend, beside in BACKENDS.items():
        links[f"{backend}/model.py"] = own / backend / "model.py"
        links[f"{backend}/calumma_batching.py"] = own / "batching.py"
        for name in beside:
            links[f"{backend}/calumma_{name}.py"] = own / backend / f"{name}.py"
    if not links[f"python/{stub}"].is_file():
        known = ", ".join(sorted(path.name for path in (server / "python_backend_stubs").iterdir()))
        raise errors.ConfigurationError(
            f"nvidia-pytriton has no Python backend for Python {version}; it has those of {known}."
        )
    return links


def shared_memory_prefix(pod: str) -> str:
    """How the names of the pod's regions in ``/dev/shm`` begin.

    Each instance of a model has one region. Triton and its instances remove them when they stop,
    and the instances also when Triton is killed; those of instances that were killed themselves,
    and of a server that failed to start, stay for the node to remove.
    """
    return f"calumma.{pod.replace('/', '.')}."


def program(
    arguments: Sequence[str],
    *,
    model_repository: Path,
    backends: Path,
    http_port: int,
    grpc_port: int | None,
    metrics_port: int,
    pod: str,
) -> programs.Program:
    """The ``tritonserver`` process for a container's ``arguments``.

    ``arguments`` are the container's command and arguments as KServe merges them from the
    ServingRuntime and the InferenceService. ``model_repository`` is the folder that the container
    would see as ``/mnt/models``, ``backends`` the one made from :func:`backend_links`, ``pod`` a
    name that no other pod of this machine has; without ``grpc_port`` there is no gRPC.

    Raises :class:`~calumma.errors.ConfigurationError` for arguments that cannot work here.
    """
    server = installation()
    argv = [str(server / "bin/tritonserver")]
    repositories = 0
    for flag, value in _flags(arguments):
        _refuse(flag, value)
        if flag in _OWN or (flag == "allow-grpc" and grpc_port is None):
            continue
        if flag in _REPOSITORY:
            repositories += 1
            if value is None or not _mounted(value):
                raise errors.ConfigurationError(
                    f"Triton's argument --{flag} is {value!r}; in a pod of this cluster models "
                    f"are at {MOUNT} or below."
                )
        if value is None:
            argv.append(f"--{flag}")
        else:
            argv.append(f"--{flag}={_translated(value, model_repository)}")
    if not repositories:
        argv.append(f"--model-repository={model_repository}")
    argv += [
        "--http-address=127.0.0.1",
        f"--http-port={http_port}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={metrics_port}",
        f"--backend-directory={backends}",
        f"--cache-directory={server / 'caches'}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix(pod)}",
    ]
    if grpc_port is None:
        argv.append("--allow-grpc=false")
    else:
        argv += ["--grpc-address=127.0.0.1", f"--grpc-port={grpc_port}"]
    return programs.Program(tuple(argv), _environment(server), model_repository)


def _environment(server: Path) -> Mapping[str, str]:
    """What ``tritonserver`` and the Python processes of its instances need to find."""
    libraries = (server.parent.parent / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR"))
    path = (Path(sys.prefix) / "bin", *os.defpath.split(os.pathsep))
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(str(folder) for folder in libraries if folder),
        "PATH": os.pathsep.join(str(folder) for folder in path if folder),
        "PYTHONUNBUFFERED": "1",
        **programs.MALLOC,
    }


def _flags(arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Flags and values of both spellings, ``--flag=value`` and ``--flag value``."""
    rest = list(arguments)
    if rest and not rest[0].startswith("-"):
        command = rest.pop(0)
        if PurePosixPath(command).name != "tritonserver":
            raise errors.ConfigurationError(
                f"Triton's image runs tritonserver here; its arguments start with {command!r}."
            )
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if not flag.startswith("--"):
            raise errors.ConfigurationError(
                f"Triton's argument {flag!r} is not a flag; write --flag=value or --flag value."
            )
        name = flag[2:]
        if equals:
            yield name, value
        elif name in _FLAGS_WITHOUT_VALUE:
            yield name, None
        elif rest and not rest[0].startswith("--"):
            yield name, rest.pop(0)
        else:
            raise errors.ConfigurationError(f"Triton's argument {flag} needs a value.")


def _refuse(flag: str, value: str | None) -> None:
    if flag in _REFUSED and value not in _FALSE:
        raise errors.ConfigurationError(
            f"Triton's argument --{flag} cannot work in this cluster: {_REFUSED[flag]}. Remove it."
        )
    if flag == "allow-http" and value in _FALSE:
        raise errors.ConfigurationError(
            "Triton's argument --allow-http=false cannot work in this cluster: readiness and "
            "traffic use HTTP. Remove it."
        )
    if flag == "backend-config" and value and value.startswith("python,shm-region-prefix-name="):
        raise errors.ConfigurationError(
            "Triton's argument --backend-config=python,shm-region-prefix-name cannot be chosen "
            "in this cluster, which removes each pod's shared memory by it. Remove it."
        )


def _mounted(value: str) -> bool:
    return PurePosixPath(value).is_relative_to(MOUNT)


def _translated(value: str, model_repository: Path) -> str:
    if not _mounted(value):
        return value
    return str(model_repository / PurePosixPath(value).relative_to(MOUNT))


# Where tritonserver says why it did not start, the most telling first.
_REASONS = (
    re.compile(r"failed to load '(?P<model>[^']+)' version \d+: [\w ]+: (?P<text>.*)\""),
    re.compile(r"(?P<text>Error parsing text-format inference\.ModelConfig: .*)"),
    re.compile(r"Poll failed for model directory '(?P<model>[^']+)': (?P<text>.*)\""),
    re.compile(r"failed to poll model '(?P<model>[^']+)': (?P<text>.*)\""),
    re.compile(r"(?P<text>failed to start \w+ service: .*)\""),
    re.compile(r"(?P<text>unrecognized option .*)"),
    re.compile(r"(?P<text>Bad option: .*\n.*)"),
    re.compile(r"error: creating server: \w+ - (?P<text>.*)"),
)


def failure(log: str) -> str | None:
    """Why the server whose log this is did not start, as one sentence; ``None`` if it is silent."""
    for reason in _REASONS:
        found = reason.search(log)
        if found is not None:
            text = _plain(found["text"])
            model = found.groupdict().get("model")
            return f"Model '{model}': {text}" if model else f"Triton: {text}"
    return None


def _plain(text: str) -> str:
    """A message without Triton's escapes, the name of a Python exception and its traceback."""
    text = text.replace("\\n", "\n").replace('\\"', '"').split("\n\nAt:\n")[0]
    return " ".join(re.sub(r"^\w+: ", "", text).split())
