"""The committed part of the golden vectors: it is the large set's, and small enough for every clone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from golden.subset import HERE, LARGE_SET, drawn_tensors, kept
from safetensors.torch import load_file

GROUPS = {
    "arap",
    "attn_processors",
    "cameras",
    "guidance_tiny",
    "host",
    "kplanes_deform",
    "pipeline_tiny",
    "ply_transform",
    "tiny_components",
    "train_step",
    "unet_tiny",
    "unet_keys_full.json",
}


def test_every_group_is_there_in_less_than_one_and_a_half_megabytes(committed_golden: Path) -> None:
    assert {path.name for path in committed_golden.iterdir()} == GROUPS
    assert sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()) < 1.5e6


@pytest.mark.skipif(not LARGE_SET.is_dir(), reason="the large set is not beside the checkout")
def test_every_committed_number_is_the_recorded_one(committed_golden: Path) -> None:
    for path in (path for path in committed_golden.rglob("*") if path.is_file()):
        original = LARGE_SET / path.relative_to(committed_golden)
        if path.suffix != ".safetensors":
            assert path.read_bytes() == original.read_bytes(), path
            continue
        recorded = load_file(original)
        for name, value in load_file(path).items():
            expected = kept(recorded[name], value)
            torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-6, equal_nan=True, msg=f"{path}: {name}")


def test_a_torch_that_draws_other_numbers_is_named() -> None:
    stream = {"file": "a", "seed": 1, "sum": 123.0, "tensors": [["x", "normal", [4], 1.0, 1.0, 0.0]]}
    with pytest.raises(ValueError, match="draws other numbers from seed 1"):
        drawn_tensors([stream])
