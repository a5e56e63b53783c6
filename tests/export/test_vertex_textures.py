"""Vertex animation textures read back as a vertex shader does."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest
from clips import awkward_mesh, files_of, motion, relative_error
from test_gltf import Player

from animate3d.errors import InputError
from animate3d.export import export
from animate3d.export.shading import moving_normals
from animate3d.export.vertex_textures import LARGEST, layout_of


def shader(folder, frame: int, kind: str, quantity: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the mesh's vertices and what a shader adds to them, or takes as their normals. ``[S], [S, 3]``"""
    os.environ["OPENCV_IO_ENABLE_OPENEXR"] = "1"
    facts = json.loads((folder / "animation.json").read_text())
    image = cv2.imread(str(folder / facts[quantity][kind]), cv2.IMREAD_UNCHANGED)[..., ::-1].astype(float)
    if kind == "png":
        low, high = np.array(facts[quantity]["min"]), np.array(facts[quantity]["max"])
        image = low + image / (65535 if quantity == "positions" else 255) * (high - low)
    player = Player(folder / "mesh.glb")
    numbers, values = [], []
    for primitive in player.primitives:
        u, v = player.read(getattr(primitive.attributes, f"TEXCOORD_{facts['uv_set']}")).T
        v = v + frame * facts["rows"] / facts["height"]
        texels = np.floor(v * facts["height"]).astype(int), np.floor(u * facts["width"]).astype(int)
        values.append(image[texels])
        numbers.append(player.ids(primitive))
    return np.concatenate(numbers), np.concatenate(values)


@pytest.mark.parametrize(("kind", "tolerance"), [("exr", 1e-6), ("png", 2e-5)])
def test_a_shader_finds_every_vertex_in_every_frame(tmp_path, kind, tolerance):
    mesh = awkward_mesh()
    positions = motion(mesh)
    folder = export(mesh, positions, tmp_path / "a.vat", fps=12)
    for frame in range(len(positions)):
        numbers, moves = shader(folder, frame, kind, "positions")
        assert relative_error((mesh.vertices[numbers] + moves)[None], positions[frame][numbers][None]) < tolerance


@pytest.mark.parametrize(("kind", "degrees"), [("exr", 0.1), ("png", 0.6)])
def test_normals_move_with_the_surface(tmp_path, kind, degrees):
    mesh = awkward_mesh(normals=True)
    positions = motion(mesh)
    folder = export(mesh, positions, tmp_path / "a.vat")
    groups, expected = moving_normals(mesh, positions)
    of_vertex = {(int(v), int(g)) for v, g in zip(mesh.corners, groups, strict=True)}
    numbers, found = shader(folder, 3, kind, "normals")
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    for number, normal in zip(numbers.tolist(), found, strict=True):
        near = max(float(normal @ expected[3, g]) for v, g in of_vertex if v == number)
        assert np.degrees(np.arccos(min(near, 1.0))) < degrees


def test_the_folder_says_what_a_shader_needs(tmp_path):
    mesh = awkward_mesh()
    positions = motion(mesh)
    folder = export(mesh, positions, tmp_path / "a.vat", fps=12, loop=True, clip_name="hop")
    names = ["animation.json", "mesh.glb", "normals.exr", "normals.png", "positions.exr", "positions.png"]
    assert files_of(folder) == names
    facts = json.loads((folder / "animation.json").read_text())
    assert (facts["frames"], facts["fps"], facts["loop"], facts["clip"]) == (5, 12.0, True, "hop-loop")
    np.testing.assert_allclose(facts["bounds"]["max"], positions.max(axis=(0, 1)))
    size = cv2.imread(str(folder / "positions.png"), cv2.IMREAD_UNCHANGED)
    assert size.shape == (facts["height"], facts["width"], 3) and size.dtype == np.uint16


@pytest.mark.parametrize(("vertices", "frames"), [(1, 1), (5000, 16), (50_000, 48), (300, 600)])
def test_textures_are_powers_of_two_and_hold_everything(vertices, frames):
    layout = layout_of(vertices, frames)
    assert layout.rows * layout.width >= vertices and frames * layout.rows <= layout.height <= LARGEST
    assert not layout.width & (layout.width - 1) and not layout.height & (layout.height - 1)


def test_what_does_not_fit_is_said():
    with pytest.raises(InputError, match="do not fit into a texture"):
        layout_of(1_000_000, 300)
