"""The deformation field: the reference method's numbers, and what must hold for any weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from golden.subset import kept
from safetensors.torch import load_file
from torch import Tensor

from animate3d.motion import Deformation, DeformationField, fused
from animate3d.motion.deformation import turned_rigidly
from animate3d.rotations import matrix_to_quaternion, quaternion_to_matrix
from benchmarks import plain_motion

STATIC = ("_xyz", "_rotation", "_scaling")
TIMES = torch.tensor([-1.0, -0.6, 0.2, 1.0])
GRID = [[4, 5, 3, 2], [6, 3, 7, 5]]


def golden_field(golden: Path, case: str) -> tuple[DeformationField, dict[str, Tensor], dict[str, Tensor]]:
    """A field with the recorded weights, the static tensors and everything recorded for the case."""
    meta = json.loads((golden / "kplanes_deform" / "cases.json").read_text())
    tensors = load_file(golden / "kplanes_deform" / "cases.safetensors")
    recorded = {key.removeprefix(f"{case}."): value for key, value in tensors.items() if key.startswith(f"{case}.")}
    weights = {key.removeprefix("weights."): value for key, value in recorded.items() if key.startswith("weights.")}
    static = {name: weights[name].clone() for name in STATIC}
    field = DeformationField(meta["grid_size"], meta["n_grid_dims"], use_global_trans=case == "global_True")
    field.load_state_dict({k: v for k, v in weights.items() if not k.startswith("_")}, strict=True)
    return field, static, recorded


def random_field(
    *, use_global_trans: bool = True, dtype: torch.dtype = torch.float64, **kwargs: int
) -> DeformationField:
    """A small field that moves things: non-cubic grids, an odd feature width, no zero weights."""
    field = DeformationField(GRID, 5, use_global_trans=use_global_trans, n_neurons=6).to(dtype)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return field


def random_gaussians(n: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Some of them outside the grid, where the border is repeated."""
    return 2.4 * torch.rand(n, 3, dtype=dtype) - 1.2, torch.randn(n, 4, dtype=dtype), torch.randn(n, 3, dtype=dtype)


def reference_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "supported", lambda xyz: False)


both_paths = pytest.mark.parametrize("path", ["fused", "autograd"])


@both_paths
@pytest.mark.parametrize("case", ["global_False", "global_True"])
def test_recorded_poses_are_reproduced_for_all_times_at_once(
    golden: Path, case: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path == "autograd":
        reference_only(monkeypatch)
    field, static, recorded = golden_field(golden, case)
    means, quats, scales = field.deform(*static.values(), TIMES, use_delta_scale=True)
    features = field.grids(static["_xyz"], TIMES)
    for index, name in enumerate(["static", "t0", "t1", "t2"]):
        torch.testing.assert_close(means[index], recorded[f"{name}.xyz"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(quats[index], recorded[f"{name}.rotation"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(scales[index], recorded[f"{name}.scaling"], rtol=1e-5, atol=1e-7)
        if index:
            expected = recorded[f"{name}.features"]
            torch.testing.assert_close(kept(features[:, index], expected), expected, rtol=1e-5, atol=1e-6)


@both_paths
@pytest.mark.parametrize("case", ["global_False", "global_True"])
def test_recorded_gradients_are_reproduced(golden: Path, case: str, path: str) -> None:
    field, static, recorded = golden_field(golden, case)
    for name, tensor in static.items():
        # Positions are buffers in training; only without their gradient is the compiled path taken.
        tensor.requires_grad_(path == "autograd" or name != "_xyz")
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
        if compared[name].requires_grad:
            error = (kept(compared[name].grad, gradient) - gradient).norm() / gradient.norm()
            assert error < 2e-5, f"{name}: {error:.2e}"


def test_optimiser_groups_are_the_recorded_ones(golden: Path) -> None:
    groups = json.loads((golden / "kplanes_deform" / "optimizer_groups.json").read_text())["groups"]
    field = DeformationField([[10, 10, 10, 4]])
    names = {id(parameter): name for name, parameter in field.named_parameters()}
    assert {key: [names[id(p)] for p in group] for key, group in field.parameter_groups().items()} == groups


def test_a_fresh_field_starts_as_recorded_and_moves_nothing(golden: Path) -> None:
    meta = json.loads((golden / "kplanes_deform" / "cases.json").read_text())
    field = DeformationField(meta["grid_size"], meta["n_grid_dims"])
    for name, parameter in field.named_parameters():
        recorded = meta["fresh_init"][name]
        assert list(parameter.shape) == recorded["shape"]
        assert parameter.min().item() == pytest.approx(recorded["min"], abs=0.01)
        assert parameter.max().item() == pytest.approx(recorded["max"], abs=0.01)
    means, quats, log_scales = random_gaussians(50, torch.float32)
    moved, turned, scales = field.deform(means, quats, log_scales, TIMES, use_delta_scale=True)
    torch.testing.assert_close(moved, means.expand(4, -1, -1), rtol=0, atol=1e-6)
    torch.testing.assert_close(scales, log_scales.exp().expand(4, -1, -1))
    torch.testing.assert_close(quaternion_to_matrix(turned), quaternion_to_matrix(quats).expand(4, -1, -1, -1))


def scalar(outputs: tuple[Tensor, ...]) -> Tensor:
    return sum((part.cos() * torch.linspace(1, 2, part.numel()).to(part).view(part.shape)).sum() for part in outputs)  # type: ignore[return-value]


@pytest.mark.parametrize("use_global_trans", [False, True])
@pytest.mark.parametrize("use_delta_scale", [False, True])
@both_paths
def test_all_frames_at_once_equal_one_at_a_time_written_plainly(
    use_global_trans: bool, use_delta_scale: bool, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path == "autograd":
        reference_only(monkeypatch)
    field = random_field(use_global_trans=use_global_trans)
    gaussians = random_gaussians(70)
    times = torch.tensor([0.3, -1.0, 1.0, -0.77], dtype=torch.float64)
    together = field.deform(*gaussians, times, use_delta_scale=use_delta_scale)
    scalar(together).backward()
    gradients = {name: p.grad.clone() for name, p in field.named_parameters() if p.grad is not None}
    field.zero_grad()
    singly = [plain_motion.deform(field, *gaussians, time, use_delta_scale) for time in times]
    apart = tuple(torch.stack(parts) for parts in zip(*singly, strict=True))
    scalar(apart).backward()
    for ours, plain in zip(together, apart, strict=True):
        torch.testing.assert_close(ours, plain)
    for name, parameter in field.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(gradients[name], parameter.grad)


@pytest.mark.slow
def test_the_compiled_path_passes_gradcheck() -> None:
    field, times = random_field(), torch.tensor([-0.4, 0.1, 1.0], dtype=torch.float64)
    xyz, _, _ = random_gaussians(6)
    planes = [plane.detach().requires_grad_() for scale in field.grids.planes() for plane in scale]
    heads = [field.delta_xyz_network, field.delta_rot_network, field.delta_scaling_network]
    weights = [weight.detach().requires_grad_() for head in heads for weight in head.weights()]

    def run(*parameters: Tensor) -> tuple[Tensor, ...]:
        scales, flat = [parameters[:6], parameters[6:12]], parameters[12:]
        return fused.evaluate(xyz, times, scales, list(zip(flat[::2], flat[1::2], strict=True)))

    assert torch.autograd.gradcheck(run, (*planes, *weights))


def test_the_thread_count_does_not_change_the_result() -> None:
    field, (xyz, _, _) = random_field(), random_gaussians(101)
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            field.zero_grad()
            change = field(xyz, TIMES.double())
            scalar(change).backward()
            results.append([*change, *(p.grad.clone() for p in field.parameters())])
    finally:
        torch.set_num_threads(before)
    for one, three in zip(*results, strict=True):
        torch.testing.assert_close(one, three)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1e30])
def test_positions_far_off_or_undefined_do_not_reach_outside_the_planes(bad: float) -> None:
    """What is read outside is foreign memory: then neighbours change, or the same call gives other numbers."""
    field, (xyz, _, _) = random_field(dtype=torch.float32), random_gaussians(6, torch.float32)
    expected = [part.detach() for part in field(xyz, TIMES)[:2]]
    xyz[::2] = bad
    changes = field(xyz, TIMES)[:2]
    for found, whole in zip(changes, expected, strict=True):
        torch.testing.assert_close(found[:, 1::2], whole[:, 1::2])
    scalar(tuple(part[:, 1::2] for part in changes)).backward()
    assert all(torch.isfinite(plane.grad).all() for plane in field.grids.parameters())
    if bad == bad:  # the border is repeated: as just inside of it
        inside = xyz.nan_to_num(0.0, 1.0, -1.0).clamp(1e-6 - 1, 1 - 1e-6)
        for found, border in zip(changes, field(inside, TIMES)[:2], strict=True):
            torch.testing.assert_close(found[:, ::2], border[:, ::2], rtol=0, atol=1e-4)


def test_autocast_does_not_lower_the_precision_of_the_field() -> None:
    field, (xyz, _, _) = random_field(dtype=torch.float32), random_gaussians(20, torch.float32)
    expected = field(xyz, TIMES).delta_xyz
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(field(xyz, TIMES).delta_xyz, expected)


def test_the_first_frame_is_untouched_unless_it_is_trainable() -> None:
    field, (means, quats, log_scales) = random_field(), random_gaussians(9)
    arguments: Callable[..., tuple[Tensor, ...]] = lambda **kwargs: field.deform(  # noqa: E731
        means, quats, log_scales, TIMES.double(), use_delta_scale=True, **kwargs
    )
    still = arguments()
    assert torch.equal(still[0][0], means)
    assert torch.equal(still[1][0], torch.nn.functional.normalize(quats, dim=-1))
    assert torch.equal(still[2][0], log_scales.exp())
    moved = arguments(first_frame_trainable=True)
    assert not torch.allclose(moved[0][0], means)
    torch.testing.assert_close(moved[0][1:], still[0][1:])


def test_only_the_static_frame_can_be_asked_for() -> None:
    field, gaussians = random_field(), random_gaussians(9)
    means, _, _ = field.deform(*gaussians, torch.tensor([-1.0]).double(), use_delta_scale=False)
    assert torch.equal(means, gaussians[0][None])


def test_the_scale_head_is_left_out_when_it_is_not_used() -> None:
    field, gaussians = random_field(), random_gaussians(9)
    change: Deformation = field(gaussians[0], TIMES.double(), with_scale=False)
    assert change.delta_scale is None
    _, _, scales = field.deform(*gaussians, TIMES.double(), use_delta_scale=False)
    torch.testing.assert_close(scales, gaussians[2].exp().expand(4, -1, -1))


def test_the_sign_of_a_turned_quaternion_is_that_of_the_extraction_from_a_matrix(golden: Path) -> None:
    helpers = load_file(golden / "kplanes_deform" / "cases.safetensors")
    unit = torch.nn.functional.normalize(helpers["helpers.quat_in"], dim=-1)
    turned = turned_rigidly(unit, torch.eye(3)[None])[0]
    torch.testing.assert_close(turned, helpers["helpers.extract_rotation_torch"], rtol=1e-5, atol=1e-6)


def test_turning_composes_with_the_rotation_of_each_gaussian() -> None:
    _, quats, _ = random_gaussians(30)
    unit = torch.nn.functional.normalize(quats, dim=-1)
    rotation = quaternion_to_matrix(torch.randn(4, 4).double())
    expected = rotation[:, None] @ quaternion_to_matrix(unit)
    turned = turned_rigidly(unit, rotation)
    torch.testing.assert_close(quaternion_to_matrix(turned), expected)
    torch.testing.assert_close(turned.abs(), matrix_to_quaternion(expected).abs())


@both_paths
def test_a_field_of_some_gaussians_moves_them_the_same_among_all(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if path == "autograd":
        reference_only(monkeypatch)
    field, (means, quats, log_scales) = random_field(), random_gaussians(40)
    few = torch.arange(0, 40, 4)
    times = TIMES.double()
    start = (means + 0.1 * torch.randn(4, 40, 3), torch.nn.functional.normalize(torch.randn(4, 40, 4), dim=-1).double())
    fitted = field.deform(
        means[few],
        quats[few],
        log_scales[few],
        times,
        use_delta_scale=True,
        start=(start[0][:, few], start[1][:, few]),
    )
    change = field(means[few], times)
    whole = (change.rotation, change.translation)
    everywhere = field.deform(means, quats, log_scales, times, use_delta_scale=True, start=start, whole=whole)
    for found, wanted in zip(everywhere, fitted, strict=True):
        torch.testing.assert_close(found[:, few], wanted)
    assert not torch.allclose(
        field.deform(means, quats, log_scales, times, use_delta_scale=True, start=start)[0], everywhere[0]
    ), "the mean over all is another one"
