"""Shared fixtures. A part of the golden vectors is committed; all are used where they lie beside the checkout."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.subset import LARGE_SET, unpack
from small_testset import step_options, write_testset

from animate3d.evaluation.testset import read_testset
from animate3d.runs.testset import ObjectRun


def pytest_configure(config: pytest.Config) -> None:
    """With a worker per core (``-n``) every worker has one thread; more would only take turns."""
    if getattr(config.option, "numprocesses", None):
        for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
            os.environ.setdefault(name, "1")
    gc.set_threshold(50_000)  # what the imports bring is a million objects, and each search for cycles visits them all


# Files that take longest, which start first: the last file that runs keeps one worker busy while the others wait.
LONGEST = (
    "training/test_training_processes.py",
    "motion/test_never_worse.py",
    "test_packaging.py",
    "model/test_compiled.py",
    "runs/test_foreign_meshes.py",
    "batch/test_batch.py",
    "runs/test_video.py",
    "meshes/test_fuzz.py",
    "runs/test_camera_fit.py",
    "cluster/test_commands_with_ray.py",
    "runs/test_reproduce.py",
    "test_gpu_benchmark.py",
    "training/test_training_loop.py",
    "motion/test_objects.py",
    "masks/test_background.py",
    "test_readme.py",
    "export/test_skeleton_bars.py",
    "mvvdm/test_pipeline.py",
    "runs/test_animate_gaussians.py",
    "runs/test_animate.py",
    "plugin/test_refine.py",
    "cluster/test_engine.py",
    "mvvdm/test_windows.py",
    "anatomy/test_anatomy.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; with ``--no-loadscope-reorder`` the workers take them in this order."""
    items.sort(key=lambda item: next((n for n, name in enumerate(LONGEST) if item.path.match(name)), len(LONGEST)))


def pytest_collection_finish() -> None:
    """What the imports have brought stays, so no search for cycles needs to visit it again, asked for or not."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def committed_golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed part of the reference method's own numbers."""
    return unpack(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Path:
    """Folder of the reference method's own numbers: all of them where they are present, else the committed part."""
    return LARGE_SET if LARGE_SET.is_dir() else request.getfixturevalue("committed_golden")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A test that asks for it runs on the CPU, and once more on the GPU where there is one (`-m cuda`)."""
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA GPU, and PyTorch finds none")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from 2.9 on PyTorch would like another name for it
            monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # its ten bits hide what is compared
    return torch.device(request.param)


@pytest.fixture(scope="session", autouse=True)
def _small_previews() -> Iterator[None]:
    """Pictures for people are drawn small: at their own size they take most of a short run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("animate3d.runs.mesh.PREVIEW_SIZE", 96)
        yield


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
