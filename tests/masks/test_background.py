"""Masks from the known background, on degraded frames of the demo dragon whose true masks are known."""

from __future__ import annotations

import numpy as np
import pytest

from animate3d.cameras import reconstruction_cameras
from animate3d.creatures.dragon import demo_asset, motion_named, unit_times
from animate3d.masks import BackgroundSegmenter
from animate3d.meshes import load_mesh
from animate3d.motion.template import Template
from animate3d.motion.tracking import track
from tests.masks.degraded_footage import Clip, degrade, iou, render


def segment(clip: Clip) -> np.ndarray:
    """0..255 ``[V, F, H, W]``"""
    templates = clip.alpha[:, 0].astype(np.float32) / 255
    views = zip(clip.frames, templates, strict=True)
    return 255 * np.stack([np.stack(list(BackgroundSegmenter().segment(*view))) for view in views])


def quality(clip: Clip) -> np.ndarray:
    """IoU after frame 0, which is given. ``[V, F - 1]``"""
    return iou(segment(clip), clip.alpha)[:, 1:]


def test_noise_jpeg_shadow_and_drift_with_an_object_that_leaves_and_reenters_its_first_silhouette() -> None:
    clip = degrade(render("hop", views=2, frames=10, size=192, travel=0.35, shading=True))
    away = iou(clip.alpha, clip.alpha[:, :1])
    assert away.min() < 0.3 and away[:, -1].min() > away.min() + 0.1  # it does leave and come back
    found = quality(clip)
    assert found.mean() >= 0.95
    assert found.min() >= 0.92


def test_greys_near_the_background_are_kept_in_the_object() -> None:
    found = quality(degrade(render("hop", views=2, frames=10, size=192, travel=0.35, grey_patches=True)))
    assert found.mean() >= 0.90


@pytest.mark.slow
@pytest.mark.parametrize("motion", ["wing_flap", "bend", "hop"])
@pytest.mark.parametrize(("grey_patches", "least"), [(False, 0.95), (True, 0.90)])
def test_all_motions_at_full_length(motion: str, grey_patches: bool, least: float) -> None:
    clip = degrade(render(motion, size=256, travel=0.2, grey_patches=grey_patches, shading=not grey_patches))
    assert quality(clip).mean() >= least


@pytest.mark.parametrize(
    ("options", "least"),
    [
        pytest.param({"quality": None}, 0.95, marks=pytest.mark.slow),
        ({"noise": 7.0}, 0.92),
        pytest.param({"shadow": 0.5}, 0.95, marks=pytest.mark.slow),
        ({"background": 105.0, "drift": 6.0}, 0.95),
    ],
    ids=["no compression", "strong noise", "dark shadow", "another grey that drifts"],
)
def test_single_disturbances_are_withstood(options: dict[str, float | None], least: float) -> None:
    clip = degrade(render("hop", views=1, frames=12, size=256, travel=0.35, shading=True), **options)
    assert quality(clip).mean() >= least


@pytest.mark.slow
def test_a_grey_object_is_not_taken_for_its_shadow() -> None:
    rgba = render("hop", views=2, size=256, travel=0.35, shading=True)
    rgba[..., :3] = (rgba[..., :3] @ np.array([0.3, 0.59, 0.11]))[..., None]
    assert quality(degrade(rgba)).mean() >= 0.90


def test_alpha_is_soft_along_the_edge_and_close_to_the_truth() -> None:
    clip = degrade(render("hop", views=1, frames=4, size=256), noise=1.0, quality=None)
    alpha = segment(clip)[:, 1:]
    truth = clip.alpha[:, 1:]
    edge = (truth > 20) & (truth < 235)
    assert ((alpha > 20) & (alpha < 235))[edge].mean() > 0.4
    hard = 255.0 * (truth > 127)
    assert np.abs(alpha - truth)[edge].mean() < np.abs(hard - truth)[edge].mean()
    assert set(np.unique(alpha[~edge].round()[::7])) >= {0.0, 255.0}


def test_a_hole_through_which_the_background_shows_stays_open() -> None:
    frames = np.full((3, 64, 64, 3), 128, np.uint8)
    template = np.zeros((64, 64), np.float32)
    template[12:44, 12:44] = 1
    template[20:36, 20:36] = 0
    for f in range(3):
        frames[f][np.roll(template, 4 * f, axis=1) > 0] = [30, 90, 200]
    last = list(BackgroundSegmenter().segment(frames, template))[-1]
    assert iou(255 * last, 255 * np.roll(template, 8, axis=1)) > 0.97


def test_a_lost_object_yields_an_empty_mask_and_is_found_again() -> None:
    frames = np.full((4, 64, 64, 3), 128, np.uint8)
    template = np.zeros((64, 64), np.float32)
    template[20:40, 20:40] = 1
    frames[[0, 1, 3], 20:40, 20:40] = [200, 40, 40]
    masks = list(BackgroundSegmenter().segment(frames, template))
    assert [bool((mask > 0.5).any()) for mask in masks] == [True, True, False, True]


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (16, 16), (24, 40), (33, 200)])
def test_any_size(size: tuple[int, int]) -> None:
    height, width = size
    frames = np.full((2, height, width, 3), 128, np.uint8)
    template = np.zeros(size, np.float32)
    template[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    frames[:, template > 0] = [200, 40, 40]
    first, second = BackgroundSegmenter().segment(frames, template)
    np.testing.assert_array_equal(first, template)
    assert iou(255 * second, 255 * template) > 0.9


def test_an_object_that_fills_the_image() -> None:
    frames = np.full((2, 32, 32, 3), [200, 40, 40], np.uint8)
    *_, last = BackgroundSegmenter().segment(frames, np.ones((32, 32), np.float32))
    assert last.min() == 1.0


@pytest.mark.slow
def test_leaving_masks_out_makes_the_tracked_surface_worse() -> None:
    mesh = load_mesh(demo_asset())
    placement, times = mesh.automatic_placement(), unit_times(12)[:6]
    truth = placement.apply(motion_named("hop")(mesh.vertices, times))
    clip = degrade(render("hop", frames=12, size=128))
    clip = Clip(clip.frames[:, :6], clip.alpha[:, :6])
    triangles = mesh.triangles()[0]

    def error(alpha: np.ndarray) -> float:
        rgba = np.concatenate([clip.frames / 255, alpha[..., None] / 255], axis=-1).astype(np.float32)
        colors = np.full((mesh.n_vertices, 3), 0.5)
        template = Template(truth[0], triangles, mesh.welded(), colors, nodes=300)
        positions, *_ = track(template, rgba, reconstruction_cameras(4, 128))
        return float(np.linalg.norm(positions - truth, axis=-1)[1:].mean())

    with_masks, without = error(segment(clip)), error(np.full(clip.alpha.shape, 255))
    print(f"mean vertex error: {with_masks:.4f} with masks, {without:.4f} without")
    assert with_masks < 0.7 * without
