"""torch's layer: the same for every image, and loadable without the libraries that only a GPU wants."""

import re
import struct
from pathlib import Path

import pytest

from images import torch, wheels
from images.guidellm import build as guidellm
from images.vllm import packages as vllm

ROOT = Path(__file__).resolve().parents[3]
NOT_INSTALLED = (ROOT / "images" / "for_gpus_alone.txt").read_text().split()


def test_vllm_and_guidellm_have_one_torch_between_them() -> None:
    of_vllm, _ = vllm.locks()
    of_guidellm, rest = torch.split(guidellm.LOCKS["0.8.1"].read_text())
    assert of_vllm
    assert torch.key(of_vllm, vllm.PYTHON) == torch.key(of_guidellm, vllm.PYTHON)
    assert "torch==" not in rest
    assert torch.split(guidellm.LOCKS["0.2.1"].read_text())[0] == ""


def test_the_key_follows_packages_and_python_but_not_who_wants_them() -> None:
    shared, _ = vllm.locks()
    other = re.sub(r"# via .*", "# via something-else", shared)
    assert torch.key(other, "3.11") == torch.key(shared, "3.11") != torch.key(shared, "3.12")
    assert torch.key(shared.replace("torch==2.13.0", "torch==2.13.1"), "3.11") != torch.key(shared, "3.11")


@pytest.mark.parametrize("lock", [*vllm.LOCKS, guidellm.LOCKS["0.8.1"]], ids=lambda lock: lock.name)
def test_what_is_for_gpus_alone_is_in_no_lock(lock: Path) -> None:
    pinned = {requirement.partition("==")[0] for requirement in wheels.requirements(lock.read_text())}
    assert pinned
    assert not pinned & set(NOT_INSTALLED)


def test_a_lock_falls_apart_into_its_requirements() -> None:
    text = "a==1 \\\n    --hash=sha256:0\n    # via b\nnvidia-x==2 \\\n    --hash=sha256:1\n\n# Left out:\n# triton\n"
    shared, rest = torch.split(text)
    assert shared == "nvidia-x==2 \\\n    --hash=sha256:1"
    assert rest == "a==1 \\\n    --hash=sha256:0\n    # via b"


UNDEFINED, DEFINED = 0, 7
GLOBAL_FUNCTION, WEAK_FUNCTION, LOCAL_FUNCTION = 0x12, 0x22, 0x02
SYMBOLS = [
    ("", 0, UNDEFINED),
    ("cublasCreate_v2", GLOBAL_FUNCTION, UNDEFINED),
    ("memcpy", GLOBAL_FUNCTION, UNDEFINED),
    ("cudaMalloc", GLOBAL_FUNCTION, UNDEFINED),
    ("ncclSend", GLOBAL_FUNCTION, UNDEFINED),
    ("nvrtcVersion", LOCAL_FUNCTION, UNDEFINED),
    ("cufftOfItsOwn", GLOBAL_FUNCTION, DEFINED),
]


def elf() -> bytes:
    """A shared object as far as its dynamic symbols: header, names, symbols, section headers."""
    names = b"".join(name.encode() + b"\0" for name, _, _ in SYMBOLS)
    table, at = b"", 0
    for name, info, section in SYMBOLS:
        table += struct.pack("<IBBHQQ", at, info, 0, section, 0, 0)
        at += len(name) + 1
    strings, symbols = 64, 64 + len(names)
    sections = symbols + len(table)
    header = b"\x7fELF\x02\x01\x01".ljust(0x28, b"\0") + struct.pack("<Q", sections)
    header = header.ljust(0x3A, b"\0") + struct.pack("<HHH", 64, 3, 0)
    headers = bytes(64)
    headers += struct.pack("<IIQQQQIIQQ", 0, 11, 0, 0, symbols, len(table), 2, 0, 8, 24)
    headers += struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, strings, len(names), 0, 0, 1, 0)
    return header + names + table + headers


def test_only_references_to_the_absent_libraries_become_weak(tmp_path: Path) -> None:
    library = tmp_path / "libtorch_cuda.so"
    before = elf()
    library.write_bytes(before)
    assert torch.weaken(library) == 2
    after = library.read_bytes()
    changed = [place for place in range(len(before)) if before[place] != after[place]]
    start = 64 + sum(len(name) + 1 for name, _, _ in SYMBOLS)
    assert changed == [start + 24 * number + 4 for number in (1, 4)]
    assert {after[place] for place in changed} == {WEAK_FUNCTION}


def test_what_is_no_library_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "libtorch_cuda.so").write_bytes(b"MZ" + bytes(100))
    with pytest.raises(ValueError, match="no 64-bit"):
        torch.weaken(tmp_path / "libtorch_cuda.so")


def test_a_stand_in_has_every_absent_librarys_name(tmp_path: Path) -> None:
    for name in torch.LINKED:
        (tmp_path / name).write_bytes(elf())
    (tmp_path / torch.STAND_IN).write_text("small")
    torch.without_cuda(tmp_path)
    assert {(tmp_path / name).read_text() for name in torch.ABSENT} == {"small"}


def test_a_build_without_cuda_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "libtorch_cpu.so").write_text("kernels")
    torch.without_cuda(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["libtorch_cpu.so"]


def test_what_no_cpu_loads_is_removed(tmp_path: Path) -> None:
    stays = [
        "numpy/testing/tools.py",
        "nvidia/cu13/lib/libcudart.so.13",
        "torch/lib/libtorch_cpu.so",
        "torch/bin/torch_shm_manager",
    ]
    goes = ["torch/include/torch.h", "torch/lib/libtorch_cuda_linalg.so", "nvidia/cu13/include/cuda.h", "bin/torchrun"]
    goes += ["numpy/tests/test_array.py", "numpy/lib/tests/tests/data.py"]
    for name in (*stays, *goes):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    wheels.remove(tmp_path, [*torch.NOT_NEEDED, wheels.TESTS])
    assert all((tmp_path / name).exists() for name in stays)
    assert not any((tmp_path / name).exists() for name in goes)
