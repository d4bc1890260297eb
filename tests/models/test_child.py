"""The process of the local model: what of the program's environment it has, and how it may answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llmorch.errors import ModelError
from llmorch.models import child
from llmorch.models.child import Child, needed
from llmorch.models.local import LocalModel
from llmorch.models.weights import CATALOGUE, present
from tests.models import stand_in

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio

KEYS = {
    "OPENAI_API_KEY": "k1",
    "AWS_SECRET_ACCESS_KEY": "k2",
    "NVIDIA_API_KEY": "k3",
    "CUDA_LICENSE_KEY": "k4",
    "XDG_TOKEN": "k5",
    "GGML_PASSWORD": "k6",
    "HF_TOKEN": "k7",
    "LLAMA_API_KEY": "k8",
    "DATABASE_URL": "postgres://me:k9@host/db",
    "HTTPS_PROXY": "http://me:k10@proxy",
    "SOMETHING_ELSE": "k11",
}
DEVICES = {
    "CUDA_VISIBLE_DEVICES": "",
    "ROCR_VISIBLE_DEVICES": "",
    "GGML_VK_VISIBLE_DEVICES": "0",
    "OMP_NUM_THREADS": "2",
    "LC_ALL": "C.UTF-8",
}


def _environment(pid: int) -> dict[str, str]:
    """What the system says of a process's variables."""
    found = Path(f"/proc/{pid}/environ").read_bytes().decode()
    return dict(pair.split("=", 1) for pair in found.split("\0") if pair)


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


def _has_what_it_needs(environment: Mapping[str, str]) -> None:
    assert KEYS.keys() & environment.keys() == set()
    assert not any(value in environment.values() for value in KEYS.values())
    assert DEVICES.items() <= environment.items()
    assert environment["OMP_WAIT_POLICY"] == "passive"
    assert "PATH" in environment
    assert set(environment) == set(needed(environment))


@pytest.fixture
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (KEYS | DEVICES).items():
        monkeypatch.setenv(name, value)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.usefixtures("_variables")
async def test_the_process_has_devices_and_paths_of_the_environment_and_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    monkeypatch.setattr(child, "_COMMAND", stand_in.COMMAND)
    (tmp_path / "w.gguf").write_bytes(b"GGUF")
    model = LocalModel(f"local:{tmp_path / 'w.gguf'}")
    await model.start()
    try:
        assert model._service.child is not None
        _has_what_it_needs(_environment(model._service.child.pid))
        assert model._service.child.key not in _command(model._service.child.pid)
    finally:
        await model.close()


@pytest.mark.local
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(not present(CATALOGUE["local"]), reason="the weights are not on this machine")
@pytest.mark.usefixtures("_variables")
async def test_llama_cpp_loads_and_serves_without_the_rest() -> None:
    pytest.importorskip("xllamacpp")
    model = LocalModel(f"local:{CATALOGUE['local'].path}", context=256)
    await model.start()
    try:
        assert model._service.child is not None
        _has_what_it_needs(_environment(model._service.child.pid))
    finally:
        await model.close()


def test_the_key_of_the_process_is_in_no_repr_of_what_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_COMMAND", "input()")
    started = Child("m", tmp_path, context=1, threads=1, slots=tmp_path)
    try:
        assert len(started.key) > 20
        assert started.key not in repr(started) + repr(vars(started))
    finally:
        started.kill()


@pytest.mark.parametrize(
    "said",
    [
        "while True: print('x' * 4096, end='')",
        "print('[' * 60000)",
        "print(5)",
        "print([1])",
        "print({})",
        "",
    ],
    ids=["a line without end", "nested", "a number", "a list", "nothing in it", "nothing"],
)
def test_an_answer_that_is_none_is_an_error_of_one_line(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_COMMAND", said)
    started = Child("m", tmp_path, context=1, threads=1, slots=tmp_path)
    try:
        with pytest.raises(ModelError, match=r"^m: the model's process .* while loading"):
            started.address()
    finally:
        started.kill()
