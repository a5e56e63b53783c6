"""Headless Chromium for tests, and how alike two pictures are."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from animate3d.evaluation.image_metrics import ssim_map

_FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL without a GPU


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=_FLAGS)
        try:
            yield opened
        finally:
            opened.close()


def pixels(png: bytes) -> np.ndarray:
    """``[H, W, 3]`` 0..1"""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(np.float32) / 255


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Mean SSIM of two pictures ``[H, W, 3]`` 0..1."""
    return float(ssim_map(torch.from_numpy(a)[None], torch.from_numpy(b)[None]).mean())
