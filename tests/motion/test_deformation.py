"""The deformation field: the reference method's numbers, and what must hold for any weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from animate3d.motion import DeformationField

STATIC = ("_xyz", "_rotation", "_scaling")


def golden_field(golden: Path, case: str) -> tuple[DeformationField, dict[str, Tensor], dict[str, Tensor]]:
    """A field with the recorded weights, the static tensors and everything recorded for the case."""
    meta = json.loads((golden / "kplanes_deform" / "cases.json").read_text())
    tensors = load_file(golden / "kplanes_deform" / "cases.safetensors")
    recorded = {key.removeprefix(f"{case}."): value for key, value in tensors.items() if key.startswith(f"{case}.")}
    weights = {key.removeprefix("weights."): value for key, value in recorded.items() if key.startswith("weights.")}
    static = {name: weights[name].clone().requires_grad_() for name in STATIC}
    field = DeformationField(meta["grid_size"], meta["n_grid_dims"], use_global_trans=case == "global_True")
    field.load_state_dict({k: v for k, v in weights.items() if not k.startswith("_")}, strict=True)
    return field, static, recorded


TIMES = torch.tensor([-1.0, -0.6, 0.2, 1.0])


@pytest.mark.parametrize("case", ["global_False", "global_True"])
def test_recorded_poses_are_reproduced_for_all_times_at_once(golden: Path, case: str) -> None:
    field, static, recorded = golden_field(golden, case)
    means, quats, scales = field.deform(*static.values(), TIMES, use_delta_scale=True)
    features = field.grids(static["_xyz"].detach(), TIMES)
    for index, name in enumerate(["static", "t0", "t1", "t2"]):
        torch.testing.assert_close(means[index], recorded[f"{name}.xyz"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(quats[index], recorded[f"{name}.rotation"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(scales[index], recorded[f"{name}.scaling"], rtol=1e-5, atol=1e-7)
        if index:
            torch.testing.assert_close(features[:, index], recorded[f"{name}.features"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", ["global_False", "global_True"])
def test_recorded_gradients_are_reproduced(golden: Path, case: str) -> None:
    field, static, recorded = golden_field(golden, case)
    means, quats, scales = field.deform(*static.values(), TIMES[2:3], use_delta_scale=True)
    loss = (
        (means[0] * recorded["t1.loss_w_xyz"]).sum()
        + (quats[0] * recorded["t1.loss_w_rot"]).sum()
        + (scales[0] * recorded["t1.loss_w_scaling"]).sum()
    )
    torch.testing.assert_close(loss, recorded["t1.loss"], rtol=1e-5, atol=1e-5)
    loss.backward()
    compared = dict(field.named_parameters()) | static
    expected = {k.removeprefix("t1.grad."): v for k, v in recorded.items() if k.startswith("t1.grad.")}
    assert set(expected) == set(compared)
    for name, gradient in expected.items():
        error = (compared[name].grad - gradient).norm() / gradient.norm()
        assert error < 2e-5, f"{name}: {error:.2e}"
