"""The command: what it says when it cannot run."""

from pathlib import Path

import pytest

from enginebench.controller.main import main, proxy


def test_without_its_image_it_does_not_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENGINEBENCH_IMAGE", raising=False)
    assert main([]) == 1
    assert "ENGINEBENCH_IMAGE" in capsys.readouterr().err


def test_without_a_cluster_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(
        "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "no-such-kubeconfig")
    )
    assert main(["--image", "i"]) == 1
    assert "no way to a Kubernetes API server" in capsys.readouterr().err


def test_unknown_pull_policy_is_refused() -> None:
    with pytest.raises(SystemExit):
        main(["--image", "i", "--image-pull-policy", "Sometimes"])


def test_the_way_out_of_the_cluster_is_handed_on_and_nothing_else() -> None:
    environment = {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": ".svc", "http_proxy": "", "HOME": "/root"}
    assert proxy(environment) == {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": ".svc"}
