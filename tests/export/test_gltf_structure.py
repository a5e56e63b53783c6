"""Loops, clip names, parts, places, tangents and large exports in glTF."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import gltf_files
import numpy as np
import pytest
from clips import awkward_mesh, motion, relative_error
from test_gltf import Player

from animate3d.export import export
from animate3d.meshes import Mesh, Part, load_mesh

_VALIDATE = """
const validator = require("gltf-validator"), fs = require("fs");
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1]))).then(report => {
  for (const issue of report.issues.messages) if (issue.severity < 2) console.log(JSON.stringify(issue));
});
"""


def swing(mesh: Mesh, frames: int = 8) -> np.ndarray:
    """A turn to and fro about z that comes back by itself. ``[F, N, 3]``"""
    angles = 0.8 * np.sin(2 * np.pi * np.arange(frames) / frames)
    turns = np.stack([[[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]] for a in angles])
    return mesh.vertices @ turns


def test_a_loop_closes_in_players_that_go_by_time(tmp_path):
    mesh = awkward_mesh()
    trajectory = swing(mesh)
    player = Player(export(mesh, trajectory, tmp_path / "a.glb", fps=8, loop=True, clip_name="swing"))
    (animation,) = player.document.animations
    times = player.read(animation.samplers[0].input)
    assert animation.name == "swing-loop" and times[-1] == pytest.approx(1.0)
    shown = np.stack([player.at(t % times[-1]) for t in np.arange(0, 2, 1 / 60)])
    steps = np.linalg.norm(np.diff(shown, axis=0), axis=-1).max(axis=1)
    wrap = steps[59]
    assert wrap <= 1.3 * np.delete(steps, 59).max()
    open_ended = Player(export(mesh, trajectory, tmp_path / "b.glb", fps=8))
    assert open_ended.document.animations[0].name == "mesh"
    assert open_ended.read(open_ended.document.animations[0].samplers[0].input)[-1] == pytest.approx(7 / 8)


def parted(up_axis: str = "y") -> Mesh:
    mesh = awkward_mesh(up_axis)
    mesh.parts = [Part("all of it"), Part("body", 0), Part("left eye", 1)]
    mesh.face_parts = np.array([1, 1, 1, 1, 1, 1, 1, 2])
    return mesh


@pytest.mark.filterwarnings("ignore:.*animation.*dropped")
def test_parts_are_nodes_with_their_names_and_each_of_them_moves(tmp_path):
    mesh = parted()
    path = export(mesh, motion(mesh), tmp_path / "a.glb")
    document = Player(path).document
    assert [(node.name, node.children, node.mesh) for node in document.nodes] == [
        ("all of it", [1], None),
        ("body", [2], 0),
        ("left eye", [], 1),
    ]
    assert [entry.name for entry in document.meshes] == ["body", "left eye"]
    assert [channel.target.node for channel in document.animations[0].channels] == [1, 2]
    again = load_mesh(path)
    assert again.parts == mesh.parts
    for part in (1, 2):
        old = mesh.triangles()[0][mesh.face_parts[mesh.triangles()[2]] == part]
        new = again.corners.reshape(-1, 3)[again.face_parts == part]
        np.testing.assert_allclose(np.sort(again.vertices[new], axis=0), np.sort(mesh.vertices[old], axis=0), atol=1e-6)


@pytest.mark.parametrize("up_axis", ["y", "z"])
@pytest.mark.parametrize("many", [False, True])
def test_the_origin_is_a_translation_of_the_node_in_double_precision(tmp_path, up_axis, many):
    mesh = parted(up_axis) if many else awkward_mesh(up_axis)
    mesh.parts = [*mesh.parts, Part("apart")] if many else []
    mesh.origin = np.array([448262.53, 120.1, 5411932.27])
    again = load_mesh(export(mesh, motion(mesh)[:1], tmp_path / "a.glb"))
    x, y, z = (mesh.vertices + mesh.origin)[mesh.triangles()[0]].reshape(-1, 3).T
    expected = np.stack([x, y, z] if up_axis == "y" else [x, z, -y], axis=1)
    found = (again.vertices + again.origin)[again.corners]
    order = [np.lexsort(values.round(3).T) for values in (expected, found)]
    np.testing.assert_allclose(found[order[1]], expected[order[0]], atol=1e-5)


def test_tangents_follow_u_across_the_normal_and_turn_with_the_surface(tmp_path):
    mesh = awkward_mesh()
    mesh.materials[1] = mesh.materials[0]
    turn = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    player = Player(export(mesh, np.stack([mesh.vertices, mesh.vertices @ turn]), tmp_path / "a.glb", fps=1))
    rest, normals = player.at(0, "TANGENT"), player.at(0, "NORMAL")
    np.testing.assert_allclose(np.linalg.norm(rest, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose((rest * normals).sum(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(player.at(1, "TANGENT"), rest @ turn, atol=1e-4)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_hand_of_a_tangent_says_where_the_texture_is_mirrored(tmp_path, mirrored):
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    uvs = corners[:, :2] * ([-1, 1] if mirrored else [1, 1])
    mesh = Mesh.from_faces(corners, np.array([[0, 1, 2, 3]]), corner_uvs=uvs, material=awkward_mesh().materials[0])
    player = Player(export(mesh, corners[None].astype(float), tmp_path / "a.glb"))
    tangent = player.read(player.primitive.attributes.TANGENT)
    np.testing.assert_allclose(tangent, [[-1, 0, 0, -1] if mirrored else [1, 0, 0, 1]] * 4, atol=1e-6)


def large(frames: int = 8) -> tuple[Mesh, np.ndarray]:
    """A ball with a normal map whose morph targets take more than a megabyte as floats; its upper half turns over."""
    points, uvs, triangles = gltf_files.ball(60, 80)
    mesh = Mesh.from_faces(points, triangles, corner_uvs=uvs[triangles], material=awkward_mesh().materials[0])
    share = np.linspace(0, 1.5, frames)[:, None] * (points[:, 1] > 0)
    x, y, z = points.T
    turned = np.stack([np.cos(share) * x - np.sin(share) * y, np.sin(share) * x + np.cos(share) * y], axis=-1)
    return mesh, np.concatenate([turned, np.broadcast_to(z, share.shape)[..., None]], axis=-1)


def test_large_exports_are_small_and_nearly_exact(tmp_path):
    mesh, trajectory = large()
    path = export(mesh, trajectory, tmp_path / "a.glb", fps=1)
    player = Player(path)
    assert player.document.extensionsRequired == ["KHR_mesh_quantization"]
    assert path.stat().st_size < 0.65 * 36 * len(player.ids()) * (len(trajectory) - 1)
    scale = np.array(player.document.nodes[0].scale or [1, 1, 1])
    found = np.stack([player.at(k) * scale for k in range(len(trajectory))])
    assert relative_error(found, trajectory[:, player.ids()]) < 2e-5
    for frame, limit in ((0, 0.5), (4, 3), (7, 3)):
        exact = Player(export(mesh, trajectory[[0, frame]], tmp_path / "b.glb", fps=1))
        cosine = _cosine(player.at(frame, "NORMAL"), exact.at(1, "NORMAL"))
        assert np.degrees(np.arccos(np.percentile(cosine, 1))) < limit


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return ((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).clip(-1, 1)


def test_equal_frames_are_stored_once(tmp_path):
    mesh = awkward_mesh()
    forth = motion(mesh)[[0, 3, 4, 3]]
    targets = Player(export(mesh, forth, tmp_path / "a.glb")).primitive.targets
    assert targets[0] == targets[2] != targets[1]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_validator_finds_neither_errors_nor_warnings(tmp_path):
    node = shutil.which("node")
    if node is None or subprocess.run([node, "-e", "require('gltf-validator')"], capture_output=True).returncode:
        pytest.skip("node does not find the package gltf-validator (set NODE_PATH)")
    sources = {"awkward": awkward_mesh(normals=True, colors=True), "z": parted("z"), "large": large()[0]}
    for kind in ("everything", "quantized", "sparse", "skinned"):
        sources[kind] = load_mesh(getattr(gltf_files, kind)().save(tmp_path / f"{kind}.glb"))
    sources["z"].origin = np.array([5e6, 1.0, 2.0])
    for name, mesh in sources.items():
        for frames in (1, 8):
            path = export(mesh, swing(mesh)[:frames], tmp_path / f"{name}_{frames}.glb", loop=True)
            report = subprocess.run(
                [node, "-e", _VALIDATE, os.fspath(path)], capture_output=True, text=True, check=True
            )
            assert report.stdout == "", name


def test_the_player_is_not_fooled(tmp_path: Path):
    mesh = awkward_mesh()
    player = Player(export(mesh, motion(mesh), tmp_path / "a.glb", fps=1))
    assert not np.allclose(player.at(0), player.at(1))
