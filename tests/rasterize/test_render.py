"""`render`: what it accepts, which backend it takes, how it talks to gsplat."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from splat_scenes import random_splats

from animate3d.cameras import reconstruction_cameras
from animate3d.errors import InputError, MissingDependencyError
from animate3d.rasterize import Splats, cuda, dispatch, gsplat_extension, render


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_no_gaussians_show_the_background(backend: str) -> None:
    background = torch.tensor([0.1, 0.2, 0.3])
    image = render(random_splats(2, 0), reconstruction_cameras(3, 20), background=background, backend=backend)
    assert image.color.shape == (2, 3, 20, 20, 3)
    assert image.radii.shape == (2, 3, 0)
    assert torch.equal(image.color, torch.tensor([0.1, 0.2, 0.3]).expand_as(image.color))
    assert not image.alpha.any()
    assert not image.depth.any()


def test_outputs_have_the_documented_shapes_and_types() -> None:
    image = render(random_splats(2, 30), reconstruction_cameras(3).resized(24, 20))
    assert image.color.shape == (2, 3, 24, 20, 3)
    assert image.alpha.shape == image.depth.shape == (2, 3, 24, 20, 1)
    assert image.radii.shape == (2, 3, 30)
    assert image.radii.dtype == torch.int32
    assert image.color.dtype == torch.float32
    assert image.color.min() >= 0
    assert image.color.max() <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"means": torch.zeros(5, 3)}, r"means must be \[F, N, 3\], got \[5, 3\]"),
        ({"quats": torch.zeros(1, 4, 4)}, r"quats must be \[1, 5, 4\].*got \[1, 4, 4\]"),
        ({"scales": torch.zeros(2, 5, 3)}, r"scales must be \[1, 5, 3\].*got \[2, 5, 3\]"),
        ({"opacities": torch.zeros(5, 1)}, r"opacities must be \[5\] or \[1, 5\].*got \[5, 1\]"),
        ({"colors": torch.zeros(1, 3, 5, 3)}, r"colors must be .*\[1, 2, 5, 3\].*got \[1, 3, 5, 3\]"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        render(replace(random_splats(1, 5), **change), reconstruction_cameras(2, 16))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grad_mask": torch.ones(2, 1, 5, dtype=torch.bool)}, r"grad_mask must be \[1, 2, 5\]"),
        ({"grad_mask": torch.ones(1, 2, 5)}, "grad_mask must be boolean"),
        ({"background": torch.zeros(4)}, r"background must be a number or \[3\], got \[4\]"),
        ({"chunk_views": 0}, "chunk_views must be at least 1"),
        ({"backend": "metal"}, "unknown rasteriser backend 'metal'"),
        ({"backend": "cuda"}, "takes float32 tensors on a GPU"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        render(random_splats(1, 5), reconstruction_cameras(2, 16), **options)


def test_float64_goes_to_the_reference_and_half_is_rendered_in_float32() -> None:
    splats, cameras = random_splats(1, 40), reconstruction_cameras(1, 16)
    double = Splats(splats.means.double(), splats.quats, splats.scales, splats.opacities, splats.colors)
    assert render(double, cameras).color.dtype == torch.float64
    half = replace(splats, means=splats.means.half())
    assert render(half, cameras).color.dtype == torch.float32
    with pytest.raises(InputError, match="cpu rasteriser takes float32"):
        render(double, cameras, backend="cpu")


def _fake_gsplat(calls: list[dict[str, Any]]) -> SimpleNamespace:
    """Checks shapes as gsplat does and returns images whose channels say what they are."""

    def rasterization(
        means: torch.Tensor, quats: torch.Tensor, scales: torch.Tensor, opacities: torch.Tensor, colors: torch.Tensor,
        viewmats: torch.Tensor, Ks: torch.Tensor, width: int, height: int, **options: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:  # fmt: skip
        batch, gaussians, views = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
        assert quats.shape == (*batch, gaussians, 4)
        assert scales.shape == (*batch, gaussians, 3)
        assert opacities.shape == (*batch, gaussians)
        assert colors.shape == (*batch, views, gaussians, 3)
        assert viewmats.shape == (*batch, views, 4, 4)
        assert Ks.shape == (*batch, views, 3, 3)
        assert options["backgrounds"].shape == (*batch, views, 3)
        calls.append({"means": means, "viewmats": viewmats, "colors": colors, **options})
        image = torch.arange(4.0).expand(*batch, views, height, width, 4) + means.sum()
        radii = torch.arange(2, dtype=torch.int32).expand(*batch, views, gaussians, 2)
        return image, torch.full((*batch, views, height, width, 1), 0.5), {"radii": radii}

    return SimpleNamespace(rasterization=rasterization)


@pytest.mark.parametrize("masked", [False, True])
def test_gsplat_is_called_once_for_all_images(monkeypatch: pytest.MonkeyPatch, masked: bool) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(gsplat_extension, "load", lambda: _fake_gsplat(calls))
    splats, cameras = random_splats(2, 7), reconstruction_cameras(3).resized(5, 6)
    splats.means.requires_grad_()
    mask = torch.zeros(2, 3, 7, dtype=torch.bool)
    mask[:, :, 2] = True
    checked = dispatch._checked(splats, cameras, 0.25, mask if masked else None)
    color, alpha, depth, radii = cuda.rasterize(*checked)
    (call,) = calls
    assert color.shape == (2, 3, 5, 6, 3)
    assert alpha.shape == depth.shape == (2, 3, 5, 6, 1)
    assert radii.shape == (2, 3, 7)
    assert (radii == 1).all()
    base = depth.flatten()[0] - 3
    torch.testing.assert_close(color[0, 0, 0, 0] - base, torch.arange(3.0))
    assert call["render_mode"] == "RGB+D"
    assert call["eps2d"] == 0.3
    assert call["packed"] is False
    assert (call["near_plane"], call["far_plane"]) == (0.1, 100.0)
    assert (call["backgrounds"] == 0.25).all()
    torch.testing.assert_close(call["viewmats"].reshape(2, 3, 4, 4)[1], cameras.viewmats)
    depth.sum().backward()
    assert splats.means.grad is not None
    assert splats.means.grad[:, 2].all()
    assert bool(splats.means.grad[:, 0].any()) is not masked


def test_real_gsplat_has_the_arguments_that_are_used() -> None:
    import inspect

    gsplat = pytest.importorskip("gsplat")
    known = inspect.signature(gsplat.rasterization).parameters
    for name in ("means", "viewmats", "Ks", "near_plane", "far_plane", "eps2d", "packed", "backgrounds", "render_mode"):
        assert name in known


def test_missing_gsplat_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat", None)
    gsplat_extension.load.cache_clear()
    checked = dispatch._checked(random_splats(1, 3), reconstruction_cameras(1, 8), None, None)
    with pytest.raises(MissingDependencyError, match=r"animate3d\[cuda\]"):
        cuda.rasterize(*checked)
