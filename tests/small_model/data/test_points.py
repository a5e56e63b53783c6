"""Clips as moving points, and their pictures."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from animate3d.cameras import reconstruction_cameras
from animate3d.creatures.creatures import make_creature
from animate3d.frames import composite
from animate3d.rasterize.textured import render_mesh
from animate3d.small_model.data.moving import clip_stream, sample_creature
from animate3d.small_model.data.points import draw_points


def test_points_look_like_the_mesh_that_the_condition_images_show() -> None:
    creature = make_creature("dog", 12)
    surface = sample_creature(creature, 8192, np.random.default_rng(0))
    rest = creature.mesh.automatic_placement().apply(creature.mesh.vertices[None])
    colors = torch.from_numpy((surface.colors * 255).astype(np.uint8))[None]
    drawn = draw_points(torch.from_numpy(surface.follow(rest))[None], colors, views=4, size=64)
    pixels = drawn.pixels[0, :, 0].movedim(1, -1).float() / 255
    mesh = render_mesh(creature.mesh, rest, reconstruction_cameras(4, 64), shading=False)[:, 0]
    expected = composite(torch.from_numpy(mesh).float() / 255, 0.5)
    inside = torch.from_numpy(mesh[..., 3] == 255)
    assert (drawn.coverage[0, :, 0][inside] == 1).float().mean() > 0.99  # no holes
    assert (pixels - expected)[inside].abs().mean() < 0.06
    assert 1.0 <= drawn.coverage.sum() / (mesh[..., 3] / 255).sum() < 1.2


def test_every_pixel_names_the_point_that_it_shows() -> None:
    """A point that moved by ten pixels rests ten pixels beside where it is seen."""
    positions = torch.zeros(1, 2, 1, 3)
    positions[0, 1, 0, 1] = 0.3
    drawn = draw_points(positions, torch.full((1, 1, 3), 255, dtype=torch.uint8), views=1, size=64)
    covered = drawn.coverage[0, 0] > 0
    assert 1 <= covered[0].sum() <= 4 and 1 <= covered[1].sum() <= 4
    rest = drawn.rest[0, 0, 1].movedim(0, -1)[covered[1]]
    assert torch.allclose(rest, torch.zeros(3), atol=1e-6)
    assert drawn.aside[0, 0, 1].movedim(0, -1)[covered[1]].norm(dim=-1).max() < 1.5
    _, x = torch.nonzero(covered[1], as_tuple=True)
    assert (x.float().mean() - 31.5).abs() > 5


def test_a_stream_repeats_itself_and_begins_at_rest() -> None:
    first, again = (list(itertools.islice(clip_stream(4), 3)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.positions, other.positions) and one.text == other.text
        assert one.positions.shape == (16, 8192, 3) and np.abs(one.positions).max() < 2.5
    held_out = next(clip_stream(4, held_out=True))
    assert not np.array_equal(held_out.positions, first[0].positions)
