"""torch for the CPU out of PyPI's build for CUDA: installed once, the same layer in every image that has it.

That build is linked with 2 GB of CUDA libraries, which nothing calls on a CPU. They are not installed
(for_gpus_alone.txt): a link of the name of each lets the loader find something, and torch's references to what would
be in them are made weak, which the loader need not resolve. torch's own code for the CPU is as it came.
"""

import mmap
import platform
import re
import struct
from pathlib import Path

from devcluster.cache import Cache, digest, lock
from devcluster.settings import load
from images.docker import Docker, say
from images.layers import Layer, measured, recorded
from images.wheels import TESTS, compile_all, install, remove, requirements

PLACE = "/opt/torch"
"""Where the layer lies in the images."""
SHARED = re.compile(r"(torch|nvidia-[\w-]+|cuda-[\w-]+)==")
"""Of a lock: what belongs into the layer."""
NOT_NEEDED = (
    "torch/include",
    "torch/test",
    "torch/lib/libtorch_cuda_linalg.so",
    "nvidia/*/include",
    "bin",
)
ABSENT = (
    *("libcublas.so.13", "libcublasLt.so.13", "libcudnn.so.9", "libcufft.so.12", "libcurand.so.10"),
    *("libcusparse.so.12", "libcusparseLt.so.0", "libnccl.so.2", "libnvrtc.so.13", "libnvshmem_host.so.3"),
)
"""What torch 2.13.0 is linked with and does not get."""
STAND_IN = "libtorch_global_deps.so"
"""Of torch: small, without symbols of its own, and loaded first in any case."""
LINKED = ("libtorch_cuda.so", "libtorch_python.so", "libtorch_nvshmem.so")
REFERENCES = re.compile(rb"cublas|cudnn|cufft|curand|cusparse|nccl|nvrtc|nvshmem")
_ELF64 = b"\x7fELF\x02\x01"
_DYNSYM, _UNDEFINED, _GLOBAL, _WEAK = 11, 0, 1, 2
_SYMBOL_BYTES = 24


def split(text: str) -> tuple[str, str]:
    """A lock, apart: what belongs into torch's layer, and the rest."""
    shared = [part for part in requirements(text) if SHARED.match(part)]
    rest = [part for part in requirements(text) if not SHARED.match(part)]
    return "\n".join(shared), "\n".join(rest)


def key(shared: str, python: str) -> str:
    """Of the layer that is made of this part of a lock."""
    packages = sorted(part.partition("    #")[0] for part in requirements(shared))  # without who wants them
    return digest(*packages, python, platform.machine(), TESTS, *NOT_NEEDED, *ABSENT, *LINKED, REFERENCES.pattern)


def folder(shared: str, python: str) -> Path:
    """Where it lies in the cache, if it was installed."""
    return Cache(load().cache / "torch").path("site", key(shared, python)) / "site"


def layer(shared: str, python: str, docker: Docker, base: str) -> Layer:
    """Installed and compiled in the cache, unless it is there."""
    cache = load().cache / "torch"

    def make(draft: Path) -> None:
        say("Installing torch (0.5 GB to fetch, once)")
        site = draft / "site"
        install(shared, site, python)
        remove(site, NOT_NEEDED)
        without_cuda(site / "torch" / "lib")
        compile_all(docker, base, site, PLACE)
        measured(site, PLACE).record(draft)

    with lock(cache, lambda pid: say(f"Another build (process {pid}) installs torch: waiting for it")):
        entry = Cache(cache).ensure("site", key(shared, python), make)
    return recorded(entry, entry / "site", PLACE)


def without_cuda(libraries: Path) -> None:
    """torch/lib, such that it loads without the libraries that are absent. A build for the CPU alone stays as it is."""
    linked = [libraries / name for name in LINKED if (libraries / name).exists()]
    for library in linked:
        weaken(library)
    for name in ABSENT if linked else ():
        (libraries / name).symlink_to(STAND_IN)


def weaken(library: Path) -> int:
    """Make the references of a 64-bit ELF file to the absent libraries weak, in place; how many there were."""
    changed = 0
    with library.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        if data[: len(_ELF64)] != _ELF64:
            raise ValueError(f"{library} is no 64-bit little-endian ELF file.")
        (start,), (step, number) = struct.unpack_from("<Q", data, 0x28), struct.unpack_from("<HH", data, 0x3A)
        sections = [struct.unpack_from("<IIQQQQIIQQ", data, start + step * each) for each in range(number)]
        _, _, _, _, offset, size, strings, *_ = next(section for section in sections if section[1] == _DYNSYM)
        names = sections[strings][4]
        for symbol in range(offset, offset + size, _SYMBOL_BYTES):
            name, info, _, section = struct.unpack_from("<IBBH", data, symbol)
            if section == _UNDEFINED and info >> 4 == _GLOBAL and REFERENCES.match(data, names + name):
                data[symbol + 4] = _WEAK << 4 | info & 0xF
                changed += 1
    return changed
