"""A clip seen again by a camera that looks straight at the object."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_asset import finned_tube

from animate3d.rasterize.textured import render_mesh
from animate3d.runs.render import draw_viewpoint
from animate3d.runs.seen_again import cut_sentences, known_pixels, look_at_object, square_cameras, turned_to
from animate3d.runs.viewpoint import Viewpoint

SIDEWAYS = Viewpoint(30.0, 20.0, 10.0, 50.0, 3.0, (0.35, -0.1), size=(240, 160))


def test_the_turned_camera_draws_what_it_says_it_saw() -> None:
    mesh = finned_tube()
    placement = mesh.automatic_placement()
    clip = draw_viewpoint(mesh, placement, SIDEWAYS, shading=False)
    turned = look_at_object(SIDEWAYS, clip[..., 3] > 0)
    seen = turned.see(clip, 120)
    cameras = square_cameras(turned.c2w[None], np.array([turned.field_of_view]), 120)
    drawn = render_mesh(mesh, placement.apply(mesh.vertices)[None], cameras, supersample=4, shading=False)[0, 0]
    assert np.abs(seen[..., 3].astype(int) - drawn[..., 3]).mean() < 3
    both = (seen[..., 3] > 250) & (drawn[..., 3] > 250)
    assert np.abs(seen[both].astype(int) - drawn[both]).mean() < 6
    rows, columns = np.nonzero(drawn[..., 3])
    assert min(rows.min(), columns.min()) > 2 and max(rows.max(), columns.max()) < 117
    assert max(np.ptp(rows), np.ptp(columns)) > 0.8 * 120


@pytest.mark.parametrize("principal", [(0.5, 0.5), (0.6, 0.45)])
def test_positions_and_rays_agree(principal: tuple[float, float]) -> None:
    """Also where the optical axis does not meet the middle of the picture."""
    covered = np.zeros((160, 240), bool)
    covered[20:60, 150:220] = True
    turned = look_at_object(replace(SIDEWAYS, principal_point=principal), covered)
    point = torch.tensor([[[0.2, -0.1, 0.3]]], dtype=torch.float64)
    at, _ = SIDEWAYS.cameras().project(point)
    at = at[0, 0].numpy() + (np.array(principal) - 0.5) * [240, 160]
    x, y, w = turned.homography @ [*at, 1.0]
    again, _ = square_cameras(turned.c2w[None], np.array([turned.field_of_view]), 100).project(point.float())
    assert np.allclose(again[0, 0].numpy(), [100 * x / w, 100 * y / w], atol=1e-2)


def test_what_the_border_of_the_clip_cuts_is_told_and_unknown() -> None:
    inside, cut = np.zeros((2, 160, 240), np.uint8)
    inside[20:60, 150:220] = cut[20:60, 150:240] = 255
    _, whole = turned_to(SIDEWAYS, [inside, inside])
    assert known_pixels([whole], 60) is None and not cut_sentences([Path("a.mp4")], [whole])
    camera, note = turned_to(SIDEWAYS, [inside, cut, cut, inside])
    known = known_pixels([whole, note], 60)
    assert known is not None and known[0].all() and 0.05 < (~known[1]).mean() < 0.3
    seen = camera.see(np.full((160, 240, 4), 255, np.uint8), 60)
    assert not (known[1] & (seen[..., 3] < 255)).any()
    (sentence,) = cut_sentences([Path("a.mp4"), Path("b.mp4")], [whole, note])
    assert "b.mp4 is cut by the picture's border in frames 1 to 2:" in sentence
    (sentence,) = cut_sentences([Path("b.mp4")], [turned_to(SIDEWAYS, [inside, cut])[1]])
    assert "in frame 1:" in sentence
