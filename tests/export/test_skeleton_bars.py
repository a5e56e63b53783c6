"""The demo dragon's motions keep within the bars with few bones, and its skinned file is small."""

from __future__ import annotations

import pytest

from animate3d.creatures.dragon import MOTIONS, make_dragon, unit_times
from animate3d.export import export
from animate3d.export.skeleton import find_skeleton

pytest.importorskip("py_dem_bones")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MOTIONS))
def test_the_dragon_needs_few_bones_and_less_than_half_of_the_file(tmp_path, name):
    mesh = make_dragon()
    positions = MOTIONS[name](mesh.vertices, unit_times(16))
    found = find_skeleton(mesh, positions)
    assert len(found.rig) <= 16 and found.mean_error <= 0.003 and found.max_error <= 0.02
    skinned = export(mesh, positions, tmp_path / "a.glb", fps=8, skeleton=found)
    morphs = export(mesh, positions, tmp_path / "b.glb", fps=8)
    assert skinned.stat().st_size <= 0.4 * morphs.stat().st_size
