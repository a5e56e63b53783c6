"""The compiled backend equals the reference, image by image and gradient by gradient."""

from __future__ import annotations

import pytest
import torch
from splat_scenes import assert_same, gradients, random_splats, scalar, with_grad

from animate3d.cameras import Cameras, orbit_cameras, reconstruction_cameras
from animate3d.rasterize import Splats, render


@pytest.mark.parametrize(
    ("frames", "gaussians", "size", "spread", "image"),
    [
        pytest.param(2, 300, 0.05, 0.4, (64, 64), id="typical"),
        pytest.param(1, 800, 0.15, 0.25, (48, 48), id="overlapping and opaque"),
        pytest.param(1, 40, 1.0, 0.5, (70, 100), id="larger than the image"),
        pytest.param(1, 600, 0.004, 0.4, (64, 40), id="under a pixel"),
        pytest.param(1, 300, 0.1, 2.5, (40, 72), id="outside the view and behind the camera"),
        pytest.param(3, 1, 0.3, 0.1, (33, 31), id="single"),
    ],
)
def test_images_and_gradients_equal_the_reference(
    frames: int, gaussians: int, size: float, spread: float, image: tuple[int, int]
) -> None:
    cameras = reconstruction_cameras(2).resized(*image)
    assert_same(random_splats(frames, gaussians, size=size, spread=spread), cameras)


def test_thin_slanted_gaussians_equal_the_reference() -> None:
    splats = random_splats(1, 60, seed=2)
    thin = torch.tensor([1.5, 0.003, 0.003]).expand_as(splats.scales)
    assert_same(
        Splats(splats.means, splats.quats, thin, splats.opacities, splats.colors), reconstruction_cameras(2, 96)
    )


def test_colors_per_view_cameras_per_frame_and_mask_equal_the_reference() -> None:
    frames, views, gaussians = 2, 3, 200
    cameras = orbit_cameras(10.0, [0.0, 60.0, 200.0, 30.0, 150.0, 300.0], size=40)
    cameras = Cameras(cameras.c2w.unflatten(0, (frames, views)), cameras.fovy.unflatten(0, (frames, views)), 40, 40)
    mask = torch.rand(frames, views, gaussians) < 0.3
    splats = random_splats(frames, gaussians, views=views)
    assert_same(splats, cameras, grad_mask=mask, background=torch.tensor([0.1, 0.7, 0.4]))
    assert_same(splats, cameras, depth=False)


def test_colors_and_opacities_per_frame_equal_the_reference() -> None:
    splats = random_splats(3, 100)
    per_frame = Splats(splats.means, splats.quats, splats.scales, torch.rand(3, 100), torch.rand(3, 100, 3))
    assert_same(per_frame, reconstruction_cameras(2, 32))


def test_the_mask_changes_gradients_but_not_the_image() -> None:
    splats, cameras = random_splats(1, 100), reconstruction_cameras(2, 48)
    mask = torch.zeros(1, 2, 100, dtype=torch.bool)
    mask[0, 1, 50:] = True
    plain, _ = gradients(splats, cameras, backend="cpu")
    masked, (means, quats, scales, opacities, colors) = gradients(splats, cameras, backend="cpu", grad_mask=mask)
    assert torch.equal(plain.color, masked.color)
    for gradient in (means, quats, scales):
        assert not gradient[:, :50].any()
        assert gradient[:, 50:].any()
    assert opacities[:50].any()
    assert colors[:50].any()


def test_broken_gaussians_are_left_out() -> None:
    splats, cameras = random_splats(1, 60), reconstruction_cameras(2, 32)
    whole = {name: getattr(splats, name).clone() for name in ("means", "quats", "scales", "opacities", "colors")}
    whole["means"][0, 0, 1] = float("nan")
    whole["quats"][0, 1, 3] = float("inf")
    whole["scales"][0, 2, 0] = float("nan")
    whole["opacities"][3] = float("nan")
    whole["colors"][4, 2] = float("inf")
    broken = Splats(**whole)
    assert_same(broken, cameras)
    rendering, (means, *_) = gradients(broken, cameras, backend="cpu")
    assert not rendering.radii[..., :5].any()
    assert not means[:, :5].any()
    rest = Splats(
        splats.means[:, 5:], splats.quats[:, 5:], splats.scales[:, 5:], splats.opacities[5:], splats.colors[5:]
    )
    torch.testing.assert_close(rendering.color, render(rest, cameras).color)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    splats, cameras = random_splats(2, 400), reconstruction_cameras(2, 80)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            rendering, grads = gradients(splats, cameras, backend="cpu")
            results.append([rendering.color, rendering.depth, *grads[:4]])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("chunk", [1, 2, 3, 4])
def test_chunks_change_neither_images_nor_gradients(backend: str, chunk: int) -> None:
    splats, cameras = random_splats(3, 80, views=3), reconstruction_cameras(3, 32)
    mask = torch.rand(3, 3, 80) < 0.5
    whole, whole_grads = gradients(splats, cameras, backend=backend, grad_mask=mask)
    parts, parts_grads = gradients(splats, cameras, backend=backend, grad_mask=mask, chunk_views=chunk)
    assert torch.equal(whole.color, parts.color)
    assert torch.equal(whole.radii, parts.radii)
    for a, b in zip(whole_grads, parts_grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4 * float(a.abs().max()), rtol=1e-4)


def test_chunks_keep_nothing_until_the_backward_pass() -> None:
    splats, cameras = random_splats(2, 10_000), reconstruction_cameras(4, 8)

    def saved_bytes(chunk: int | None) -> int:
        storages = {}  # by address: the inputs are saved once per chunk, without copies

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            scalar(render(with_grad(splats), cameras, chunk_views=chunk)).backward()
        return sum(storages.values())

    assert saved_bytes(1) < 0.2 * saved_bytes(None)


def test_gradients_of_clamped_colors_and_absent_outputs() -> None:
    splats, cameras = with_grad(random_splats(1, 50)), reconstruction_cameras(1, 32)
    rendering = render(splats, cameras)
    (means,) = torch.autograd.grad(rendering.depth.sum(), splats.means)
    assert means.any()
    assert not rendering.radii.requires_grad
