"""Images that only tests need, made from the operator's."""

import subprocess
import sys
from pathlib import Path

from images.operator.build import ROOT, digest, docker_build, image_field

VLLM = Path(__file__).parent / "vllm_image"


def cluster_environment() -> dict[str, str]:
    """What .cluster/env exports: where the container engine and the cluster are."""
    shell = ["bash", "-c", "source .cluster/env && env -0"]
    text = subprocess.run(shell, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)


def vllm_image(operator: str) -> str:
    """An image that starts as vLLM's does and serves the simulated engine; built and loaded if it is not there."""
    files = sorted(path for path in VLLM.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    image = f"localhost/enginebench/vllm-stand-in:{digest(ROOT, files, operator)}"
    if not image_field(image, ".Id"):
        docker_build(VLLM, image, OPERATOR=operator)
    subprocess.run([sys.executable, "-m", "devcluster", "load", image], cwd=ROOT, check=True)
    return image
