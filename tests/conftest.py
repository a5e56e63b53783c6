"""Shared fixtures. Golden vectors live beside the checkout and are never committed; tests skip without them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_testset import step_options, write_testset

from animate3d.evaluation.testset import read_testset
from animate3d.runs.testset import ObjectRun

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "public"


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the reference method's own numbers."""
    if not GOLDEN.is_dir():
        pytest.skip("golden vectors are not beside the checkout")
    return GOLDEN


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A test that asks for it runs on the CPU, and once more on the GPU where there is one (`-m cuda`)."""
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA GPU, and PyTorch finds none")
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # its ten bits hide what is compared
    return torch.device(request.param)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  # libraries under test draw from it


@pytest.fixture(scope="session")
def testset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_testset(tmp_path_factory.mktemp("testset"))


@pytest.fixture(scope="session")
def results(testset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reconstructions of both objects and their test renders."""
    folder = tmp_path_factory.mktemp("results")
    for item in read_testset(testset):
        ObjectRun(item, step_options(folder), announce=lambda line: None).run()
    return folder
