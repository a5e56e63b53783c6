"""A small test set, and what the steps leave of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_testset import step_options, write_testset

from animate3d.evaluation.gaussian_steps import ObjectRun
from animate3d.evaluation.testset import read_testset


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
