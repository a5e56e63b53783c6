"""Shared fixtures. A part of the golden vectors is committed; all are used where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from golden.subset import LARGE_SET, unpack
from small_testset import step_options, write_testset

from animate3d.evaluation.testset import read_testset
from animate3d.runs.testset import ObjectRun


@pytest.fixture(scope="session")
def committed_golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed part of the reference method's own numbers."""
    return unpack(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Path:
    """Folder of the reference method's own numbers: all of them where they are present, else the committed part."""
    return LARGE_SET if LARGE_SET.is_dir() else request.getfixturevalue("committed_golden")


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
