"""A container's arguments as Triton's on this machine, and why a server did not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from calumma import errors
from calumma.cluster.programs import program as programs
from calumma.cluster.programs import triton

# As KServe's ServingRuntime kserve-tritonserver has them.
RUNTIME = [
    "tritonserver",
    "--model-store=/mnt/models",
    "--grpc-port=9000",
    "--http-port=8080",
    "--allow-grpc=true",
    "--allow-http=true",
]


def rendered(arguments: list[str], grpc_port: int | None = 50051) -> programs.Program:
    return triton.program(
        arguments,
        model_repository=Path("/home/models/digits-1"),
        backends=Path("/home/backends"),
        http_port=50080,
        grpc_port=grpc_port,
        metrics_port=50082,
        pod="default/digits-predictor-00001",
    )


def test_the_runtimes_arguments_become_this_machines() -> None:
    wanted = rendered(RUNTIME)
    assert Path(wanted.argv[0]).name == "tritonserver"
    assert Path(wanted.argv[0]).is_file()
    assert wanted.argv[1:] == (
        "--model-store=/home/models/digits-1",
        "--allow-grpc=true",
        "--allow-http=true",
        "--http-address=127.0.0.1",
        "--http-port=50080",
        "--metrics-address=127.0.0.1",
        "--metrics-port=50082",
        "--backend-directory=/home/backends",
        f"--cache-directory={triton.installation() / 'caches'}",
        "--backend-config=python,shm-region-prefix-name=calumma.default.digits-predictor-00001.",
        "--grpc-address=127.0.0.1",
        "--grpc-port=50051",
    )
    assert wanted.directory == Path("/home/models/digits-1")


def test_a_users_arguments_are_passed_on_in_both_spellings() -> None:
    own = [
        "--strict-model-config=false",
        *("--log-verbose", "1"),
        "--model-control-mode=explicit",
        *("--load-model=a", "--load-model", "b"),
        "--disable-auto-complete-config",
        "--log-file=/mnt/models/log",
        *("--http-port", "1", "--metrics-address", "0.0.0.0"),
    ]
    passed = [
        flag for flag in rendered([*RUNTIME, *own]).argv if flag not in rendered(RUNTIME).argv
    ]
    assert passed == [
        "--strict-model-config=false",
        "--log-verbose=1",
        "--model-control-mode=explicit",
        "--load-model=a",
        "--load-model=b",
        "--disable-auto-complete-config",
        "--log-file=/home/models/digits-1/log",
    ]


def test_a_folder_below_the_mount_is_translated_and_none_means_the_mount() -> None:
    assert (
        "--model-repository=/home/models/digits-1/a/b"
        in rendered(["tritonserver", "--model-repository", "/mnt/models/a/b"]).argv
    )
    assert "--model-repository=/home/models/digits-1" in rendered(["tritonserver"]).argv


def test_without_a_port_there_is_no_grpc() -> None:
    argv = rendered(RUNTIME, grpc_port=None).argv
    assert [flag for flag in argv if "grpc" in flag] == ["--allow-grpc=false"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["python", "server.py"], "start with 'python'"),
        (["tritonserver", "model"], "'model' is not a flag"),
        (["tritonserver", "--log-verbose"], "--log-verbose needs a value"),
        (["tritonserver", "--log-verbose", "--log-info=true"], "--log-verbose needs a value"),
        (["tritonserver", "--model-store=/models"], "models are at /mnt/models"),
        (["tritonserver", "--model-store=s3://bucket/models"], "models are at /mnt/models"),
        (["tritonserver", "--model-store=/mnt/models-2"], "models are at /mnt/models"),
        (["tritonserver", "--allow-http=false"], "readiness and traffic use HTTP"),
        (["tritonserver", "--allow-sagemaker=true"], "a port that the gateway does not know"),
        (["tritonserver", "--grpc-use-ssl", "1"], "in plain text"),
        (["tritonserver", "--backend-directory=/opt/b"], "provides the backends"),
        (
            ["tritonserver", "--backend-config=python,shm-region-prefix-name=x"],
            "removes each pod's shared memory by it",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_a_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=sentence):
        rendered(arguments)


def test_what_is_switched_off_anyway_is_not_refused() -> None:
    assert "--allow-sagemaker=false" in rendered([*RUNTIME, "--allow-sagemaker=false"]).argv


def test_every_file_of_the_backend_directory_is_installed() -> None:
    links = triton.backend_links()
    assert set(links) == {
        "python/libtriton_python.so",
        "python/triton_python_backend_utils.py",
        "python/triton_python_backend_stub",
        "onnxruntime/model.py",
        "onnxruntime/calumma_batching.py",
        "pytorch/model.py",
        "pytorch/calumma_batching.py",
        "pytorch/calumma_signature.py",
        "pytorch/calumma_torchscript.py",
    }
    assert all(path.is_file() for path in links.values())


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        (
            'E1121 08:40:52.094 1 server.cc:241] "CudaDriverHelper has not been initialized."\n'
            "E1121 08:40:52.234 1 model_lifecycle.cc:642] \"failed to load 'm' version 1: "
            "Internal: Refused: The ONNX file /a/model.onnx is empty.\\n\\nAt:\\n  /b/model.py(23):"
            ' _session\\n"\n'
            "error: creating server: Internal - failed to load all models\n",
            "Model 'm': The ONNX file /a/model.onnx is empty.",
        ),
        (
            "E1 model_lifecycle.cc:642] \"failed to load 'm' version 1: Invalid argument: "
            'instance group m_0 of model m has kind KIND_GPU but no GPUs are available"\n',
            "Model 'm': instance group m_0 of model m has kind KIND_GPU but no GPUs are available",
        ),
        (
            "[libprotobuf ERROR text_format.cc:337] Error parsing text-format "
            'inference.ModelConfig: 1:9: Expected ":", found ""onnxruntime"".\n'
            "E1 model_repository_manager.cc:1460] \"Poll failed for model directory 'm': failed to"
            ' read text proto from /a/config.pbtxt"\n',
            "Triton: Error parsing text-format inference.ModelConfig: 1:9: Expected "
            '":", found ""onnxruntime"".',
        ),
        (
            "E1 model_repository_manager.cc:1415] \"failed to poll model 'nope': model not found in"
            ' any model repository."\nerror: creating server: Internal - failed to load all models',
            "Model 'nope': model not found in any model repository.",
        ),
        (
            "E1 main.cc:257] \"failed to start HTTP service: Unavailable - Socket '127.0.0.1:80' "
            'already in use "\n',
            "Triton: failed to start HTTP service: Unavailable - Socket '127.0.0.1:80' already in "
            "use",
        ),
        ("tritonserver: unrecognized option '--x'\nUsage:", "Triton: unrecognized option '--x'"),
        (
            'Usage:\nBad option: "--allow-grpc".\ninvalid value for bool option: maybe\n',
            'Triton: Bad option: "--allow-grpc". invalid value for bool option: maybe',
        ),
        (
            "error: creating server: Internal - failed to stat file /a\n",
            "Triton: failed to stat file /a",
        ),
        ('I1121 http_server.cc:4713] "Started HTTPService at 127.0.0.1:18000"\n', None),
        ("", None),
    ],
)
def test_the_sentence_that_a_person_needs_is_found_in_the_log(
    log: str, sentence: str | None
) -> None:
    assert triton.failure(log) == sentence
