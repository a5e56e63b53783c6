"""Shared fixtures. Golden vectors live beside the checkout and are never committed; tests skip without them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "public"


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the reference method's own numbers."""
    if not GOLDEN.is_dir():
        pytest.skip("golden vectors are not beside the checkout")
    return GOLDEN


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  # libraries under test draw from it
