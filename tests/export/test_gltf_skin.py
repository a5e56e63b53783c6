"""Skinned glTF played by hand."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from clips import relative_error
from limbs import SkinPlayer, bending, bent, finger, played
from test_gltf_structure import _VALIDATE

from animate3d.errors import InputError
from animate3d.export import export, export_with_report
from animate3d.export.skeleton import find_skeleton
from animate3d.meshes import Part

pytest.importorskip("py_dem_bones")


@pytest.fixture(scope="module")
def clip():
    mesh = finger()
    positions = bending(mesh)
    return mesh, positions, find_skeleton(mesh, positions, 5)


@pytest.mark.parametrize("suffix", ["glb", "gltf"])
def test_the_file_shows_the_skinned_prediction_at_every_frame(tmp_path, clip, suffix):
    mesh, positions, found = clip
    path = export(mesh, positions, tmp_path / f"a.{suffix}", fps=8, skeleton=found)
    assert relative_error(played(path, 6, 8), found.rig.posed(positions[0])) < 1e-6
    player = SkinPlayer(path)
    assert not player.primitive.targets and len(player.document.skins) == 1


def test_the_report_says_bones_error_and_size(tmp_path, clip):
    mesh, positions, found = clip
    report = export_with_report(mesh, positions, tmp_path / "a.glb", skeleton=5)
    assert (report.bones, report.morphs) == (5, None) and report.size == (tmp_path / "a.glb").stat().st_size
    assert report.mean_error == pytest.approx(found.mean_error)
    assert "5 bones (error: mean" in str(report) and "MB" in str(report)


def test_a_loop_has_a_closing_key_and_takes_the_short_way(tmp_path, clip):
    mesh, positions, found = clip
    player = SkinPlayer(export(mesh, positions, tmp_path / "a.glb", fps=6, loop=True, skeleton=found))
    (animation,) = player.document.animations
    assert animation.name == "mesh-loop" and player.read(animation.samplers[0].input)[-1] == pytest.approx(1.0)
    assert relative_error(player.skinned(1.0)[None], positions[:1]) < 1e-6
    halfway = bent(mesh, 0.35 * np.sin(2 * np.pi * 5 / 6))
    assert relative_error(player.skinned(5.5 / 6)[None], halfway[None]) < 0.02


def test_a_z_up_mesh_far_from_the_origin_stands_up_in_its_place(tmp_path, clip):
    mesh, positions, found = clip
    mesh = replace(mesh, up_axis="z", origin=np.array([100.0, 20.0, 3.0]))
    path = export(mesh, positions, tmp_path / "a.glb", fps=8, skeleton=found)
    x, y, z = np.moveaxis(found.rig.posed(positions[0]) + mesh.origin, -1, 0)
    assert relative_error(played(path, 6, 8), np.stack([x, z, -y], axis=-1)) < 1e-5


def test_parts_share_one_skin_and_stand_at_the_top(tmp_path, clip):
    mesh, positions, found = clip
    half = mesh.n_faces // 2
    mesh = replace(
        mesh,
        parts=[Part("hand"), Part("lower", 0), Part("upper", 1)],
        face_parts=np.repeat([1, 2], [half, mesh.n_faces - half]),
    )
    player = SkinPlayer(export(mesh, positions, tmp_path / "a.glb", fps=8, skeleton=found))
    nodes = player.document.nodes
    skinned = [number for number, node in enumerate(nodes) if node.mesh is not None]
    assert [nodes[number].name for number in skinned] == ["lower", "upper"]
    assert all(nodes[number].skin == 0 for number in skinned) and len(player.document.skins) == 1
    assert set(skinned) < set(player.document.scenes[0].nodes)


def test_a_large_skinned_file_holds_directions_as_integers_and_stays_exact(tmp_path):
    mesh = finger(rings=260, around=24)
    positions = bending(mesh, 4)
    found = find_skeleton(mesh, positions, 4)
    path = export(mesh, positions, tmp_path / "a.glb", fps=8, skeleton=found)
    assert SkinPlayer(path).document.extensionsRequired == ["KHR_mesh_quantization"]
    assert relative_error(played(path, 4, 8), found.rig.posed(positions[0])) < 1e-5
    assert path.stat().st_size < 0.4 * export(mesh, positions, tmp_path / "b.glb").stat().st_size


def test_a_skeleton_of_another_clip_is_refused(tmp_path, clip):
    mesh, positions, found = clip
    with pytest.raises(InputError, match="6 frames"):
        export(mesh, positions[:4], tmp_path / "a.glb", skeleton=found)


def test_formats_without_skeletons_refuse_them(tmp_path, clip):
    mesh, positions, found = clip
    with pytest.raises(InputError, match="hold no skeleton"):
        export(mesh, positions, tmp_path / "a.obj", skeleton=found)


def test_the_validator_finds_neither_errors_nor_warnings(tmp_path, clip):
    node = shutil.which("node")
    if node is None or subprocess.run([node, "-e", "require('gltf-validator')"], capture_output=True).returncode:
        pytest.skip("node does not find the package gltf-validator (set NODE_PATH)")
    mesh, positions, found = clip
    paths = [export(mesh, positions, tmp_path / "a.glb", skeleton=found, loop=True)]
    paths.append(export(mesh, positions[:1], tmp_path / "b.glb", skeleton=1))
    large = finger(rings=260, around=24)
    paths.append(export(large, bending(large, 4), tmp_path / "c.glb", skeleton=4))
    for path in paths:
        report = subprocess.run([node, "-e", _VALIDATE, os.fspath(path)], capture_output=True, text=True, check=True)
        assert report.stdout == ""
