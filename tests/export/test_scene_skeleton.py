"""A scene's skeleton: each object has bones of its own."""

from __future__ import annotations

import numpy as np
import pytest
from clips import relative_error
from limbs import bending, finger, played

from animate3d.export import export
from animate3d.export.skeleton import skeleton_for, skeleton_picture
from animate3d.meshes import Placement
from animate3d.meshes.scene import Member, assemble

pytest.importorskip("py_dem_bones")


def test_no_bone_moves_two_objects_and_the_file_plays(tmp_path) -> None:
    one = finger()
    motion = bending(one)
    away = Placement(np.eye(3), 1.0, np.array([2.0, 0.0, 0.0]))
    scene = assemble([one, one], [Member("left"), Member("right", away)])
    positions = np.concatenate([motion, np.repeat(away.apply(motion[:1]), len(motion), axis=0)], axis=1)
    found = skeleton_for(scene, positions, 3)
    owners = [{name.split("_")[0] for name, w in zip(np.array(found.rig.names)[bones], shares, strict=True) if w > 0}
              for bones, shares in zip(found.rig.influences, found.rig.weights, strict=True)]  # fmt: skip
    assert all(owner == {scene.names[number]} for owner, number in zip(owners, scene.objects, strict=True))
    sides = [name.split("_")[0] for name in found.rig.names]
    for name, parent in zip(sides, found.rig.parents, strict=True):
        assert parent < 0 or sides[parent] == name
    assert found.max_error < 0.02 and set(sides) == {"left", "right"}
    picture = skeleton_picture(scene, found, scene.automatic_placement())[:, :512].reshape(-1, 3).astype(int)
    assert (np.ptp(picture, axis=1) > 60).mean() > 0.02  # the bones' colours are seen
    path = export(scene, positions, tmp_path / "two.glb", fps=8, skeleton=found)
    shown = played(path, len(positions), 8)
    assert relative_error(shown, found.rig.posed(positions[0])) < 1e-5
