"""Install the operator into the cluster of KUBECONFIG: `python -m images.operator.deploy`.

Loads the image that was built, unless another is named, puts it into the manifests by a kustomization in
build/deploy, and waits until the operator runs. What is so already is left alone.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from images.operator.build import BUILT, PUBLIC_IMAGE, ROOT, say

OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- ../../manifests/default
images:
- name: {name}
  newName: {new_name}
  newTag: "{new_tag}"
"""


def write_overlay(root: Path, image: str) -> Path:
    """The folder of a kustomization that is manifests/default with another image."""
    name, _, tag = image.rpartition(":")
    if not name or "/" in tag:
        raise SystemExit(f"{image} has no tag: name it as registry/name:tag")
    folder = root / "build" / "deploy"
    folder.mkdir(parents=True, exist_ok=True)
    text = OVERLAY.format(name=PUBLIC_IMAGE, new_name=name, new_tag=tag)
    (folder / "kustomization.yaml").write_text(text)
    return folder


def run(*command: str) -> None:
    """A command whose words the user sees."""
    subprocess.run(command, cwd=ROOT, check=True)


def deploy(image: str) -> None:
    """Apply the manifests with that image, and wait."""
    folder = write_overlay(ROOT, image)
    # Server-side: the CRD is too large for the annotation of a client-side apply.
    run("kubectl", "apply", "--server-side", "--force-conflicts", f"--kustomize={folder}")
    run("kubectl", "wait", "--for=condition=Established", "--timeout=60s", "crd/benchmarkruns.enginebench.dev")
    rollout = ("rollout", "status", "deployment/enginebench-operator", "--namespace=enginebench-system")
    try:
        run("kubectl", *rollout, "--timeout=120s")
    except subprocess.CalledProcessError:
        select = ("--namespace=enginebench-system", "--selector=app.kubernetes.io/component=operator")
        subprocess.run(["kubectl", "describe", "pods", *select], check=False)
        subprocess.run(["kubectl", "logs", *select, "--tail=40"], check=False)
        raise


def main() -> int:
    parser = argparse.ArgumentParser(description="Install the operator into the cluster of KUBECONFIG.")
    parser.add_argument("--image", help="an image that the cluster can pull; else the one that was built is loaded")
    image: str = parser.parse_args().image or ""
    try:
        if not image:
            image = BUILT.read_text().strip()
            run(sys.executable, "-m", "devcluster", "load", image)
        deploy(image)
    except subprocess.CalledProcessError as error:
        say(f"`{' '.join(error.cmd)}` failed; what it said stands above.")
        return 1
    say(f"The operator runs: {image}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
