from __future__ import annotations

import numpy as np
import pytest
from moving_shapes import bending, footage, patterned_capsule, template_of

from animate3d.motion.matching import Matcher, MatchSettings
from animate3d.motion.template import Template


@pytest.mark.parametrize("size", [48, 64, 96])
@pytest.mark.parametrize("cut", [False, True])
def test_poses_of_a_part_miss_what_the_whole_surface_misses_in_them(size: int, cut: bool) -> None:
    mesh = patterned_capsule()
    frames, cameras = footage(mesh, bending(mesh, 2), size)
    template = template_of(mesh)
    rng = np.random.default_rng(0)
    known = rng.random(frames.shape[:1] + frames.shape[2:4]) > 0.1 if cut else None
    matcher = Matcher(template, frames, cameras, MatchSettings(2, 0.08, 0.3), known)
    part = np.flatnonzero(template.rest[:, 2] > 0.3)
    poses = template.rest[part] + rng.normal(0, 0.1, (5, 1, 3))
    poses[4] += 9  # out of the picture

    def whole(pose: np.ndarray) -> float:
        nodes = template.rest.copy()
        nodes[part] = pose
        return matcher.missed(nodes, 1)

    missed = matcher.posing(template.rest, part, 1).missed(poses)
    np.testing.assert_allclose(missed, [whole(pose) for pose in poses], rtol=1e-6)
    assert len(set(missed)) == len(poses)


def test_points_that_no_triangle_joins_are_not_drawn_and_do_no_harm() -> None:
    mesh = patterned_capsule()
    frames, cameras = footage(mesh, bending(mesh, 2), 48)
    assert mesh.vertex_colors is not None
    vertices = np.concatenate([mesh.vertices, [[0.0, 0.0, 2.0], [0.0, 0.0, 3.0]]])
    colors = np.concatenate([mesh.vertex_colors, np.zeros((2, 3))])
    template = Template(vertices, mesh.triangles()[0], np.arange(len(vertices)), colors, nodes=600)
    matcher = Matcher(template, frames, cameras, MatchSettings(2, 0.08, 0.3))
    part = np.flatnonzero(template.rest[:, 2] > 0.3)
    lone = np.flatnonzero(template.rest[:, 2] > 1)
    assert len(lone) == 2
    missed = matcher.missed(template.rest, 1)
    for chosen in (part, lone):
        found = matcher.posing(template.rest, chosen, 1).missed(template.rest[chosen][None])
        np.testing.assert_allclose(found, missed, rtol=1e-6)
