from __future__ import annotations

import numpy as np
import pytest
from moving_shapes import bending, footage, patterned_capsule, template_of

from animate3d.motion.matching import Matcher, MatchSettings


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
