"""glTF parsed again and played by hand."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pygltflib
import pytest
from clips import LINEAR_BARE, awkward_mesh, files_of, motion, relative_error, two_parts
from PIL import Image

from animate3d.export import export, export_with_report
from animate3d.meshes.materials import srgb_to_linear

TYPES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


class Player:
    """Reads accessors and evaluates the morph animation as the specification says."""

    def __init__(self, path: Path) -> None:
        self.document = pygltflib.GLTF2().load(str(path))
        self.blob = self.document.binary_blob()
        if self.blob is None:
            self.blob = base64.b64decode(self.document.buffers[0].uri.partition(",")[2])
        self.mesh = self.document.meshes[0]
        self.primitives = [primitive for mesh in self.document.meshes for primitive in mesh.primitives]
        self.primitive = self.primitives[0]

    def view(self, index: int) -> bytes:
        view = self.document.bufferViews[index]
        return self.blob[view.byteOffset : view.byteOffset + view.byteLength]

    def raw(self, holder: object, dtype: np.dtype, count: int, width: int) -> np.ndarray:
        stride = self.document.bufferViews[holder.bufferView].byteStride or dtype.itemsize * width
        return np.ndarray((count, width), dtype, self.view(holder.bufferView), 0, (stride, dtype.itemsize)).copy()

    def read(self, index: int) -> np.ndarray:
        accessor = self.document.accessors[index]
        dtypes = {5120: np.int8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
        dtype, width = np.dtype(dtypes[accessor.componentType]), TYPES[accessor.type]
        values = np.zeros((accessor.count, width), dtype)
        if accessor.bufferView is not None:
            values = self.raw(accessor, dtype, accessor.count, width)
        if accessor.sparse:
            kind = np.dtype(dtypes[accessor.sparse.indices.componentType])
            places = self.raw(accessor.sparse.indices, kind, accessor.sparse.count, 1)[:, 0]
            values[places] = self.raw(accessor.sparse.values, dtype, accessor.sparse.count, width)
        if accessor.min:
            np.testing.assert_array_equal(values.min(axis=0), accessor.min)
            np.testing.assert_array_equal(values.max(axis=0), accessor.max)
        if accessor.normalized:
            values = values / np.iinfo(dtype).max
        return values[:, 0] if accessor.type == "SCALAR" else values

    def ids(self, primitive: object | None = None) -> np.ndarray:
        """The mesh's number of every vertex, of all primitives one after the other."""
        chosen = self.primitives if primitive is None else [primitive]
        return np.concatenate([self.read(item.attributes._VERTEX_ID) for item in chosen]).astype(int)

    def weights(self, seconds: float) -> np.ndarray:
        (animation,) = self.document.animations
        (sampler,) = animation.samplers
        assert sampler.interpolation == "LINEAR"
        times = self.read(sampler.input)
        values = self.read(sampler.output).reshape(len(times), -1)
        return np.array([np.interp(seconds, times, column) for column in values.T])

    def at(self, seconds: float, attribute: str = "POSITION") -> np.ndarray:
        """Values at all vertices, of all primitives one after the other."""
        shown = []
        for primitive in self.primitives:
            base = self.read(getattr(primitive.attributes, attribute)).astype(np.float64)[:, :3]
            for weight, target in zip(self.weights(seconds), primitive.targets, strict=True):
                base = base + weight * self.read(target[attribute])
            shown.append(base)
        return np.concatenate(shown)

    def image(self, texture: int) -> np.ndarray:
        image = self.document.images[self.document.textures[texture].source]
        return np.asarray(Image.open(io.BytesIO(self.view(image.bufferView))))


@pytest.mark.parametrize("suffix", ["glb", "gltf"])
@pytest.mark.parametrize("fps", [24, 12.5])
def test_time_k_over_fps_shows_frame_k(tmp_path, suffix, fps):
    mesh = awkward_mesh()
    trajectory = motion(mesh)
    player = Player(export(mesh, trajectory, tmp_path / f"a.{suffix}", fps=fps))
    found = np.stack([player.at(k / fps) for k in range(len(trajectory))])
    ids = player.ids()
    assert relative_error(found, trajectory[:, ids]) < 1e-6
    between = player.at(1.5 / fps)
    assert relative_error(between[None], (trajectory[1] + trajectory[2])[None, ids] / 2) < 1e-6
    assert files_of(tmp_path) == [f"a.{suffix}"]


def test_a_primitive_has_only_the_vertices_that_it_uses(tmp_path):
    mesh = awkward_mesh()
    player = Player(export(mesh, motion(mesh), tmp_path / "a.glb"))
    for primitive in player.primitives:
        count = len(player.ids(primitive))
        np.testing.assert_array_equal(np.unique(player.read(primitive.indices)), np.arange(count))
    assert set(player.ids()) == set(mesh.corners.tolist())
    assert player.mesh.extras["vertexCount"] == mesh.n_vertices


def test_triangles_have_their_uvs_and_materials(tmp_path):
    mesh = awkward_mesh()
    player = Player(export(mesh, motion(mesh), tmp_path / "a.glb"))
    triangles, corners, faces = mesh.triangles()
    assert [primitive.material for primitive in player.mesh.primitives] == [0, 1]
    for primitive in player.mesh.primitives:
        chosen = mesh.face_materials[faces] == primitive.material
        indices = player.read(primitive.indices)
        ids, uvs = player.ids(primitive), player.read(primitive.attributes.TEXCOORD_0) * [1, -1] + [0, 1]
        np.testing.assert_array_equal(ids[indices], triangles[chosen].reshape(-1))
        np.testing.assert_allclose(uvs[indices], mesh.corner_uvs[corners[chosen]].reshape(-1, 2), atol=1e-6)


def test_materials_and_textures_survive(tmp_path):
    mesh = awkward_mesh()
    player = Player(export(mesh, motion(mesh), tmp_path / "a.glb"))
    painted, bare = player.document.materials
    maps = mesh.materials[0].textures
    surface = painted.pbrMetallicRoughness
    np.testing.assert_array_equal(player.image(surface.baseColorTexture.index), maps["diffuse"])
    combined = player.image(surface.metallicRoughnessTexture.index)
    np.testing.assert_array_equal(combined[..., 1:2], maps["roughness"])
    np.testing.assert_array_equal(combined[..., 2:3], maps["metallic"])
    assert (surface.metallicFactor, surface.roughnessFactor) == (1, 1)
    np.testing.assert_array_equal(player.image(painted.normalTexture.index), maps["normal"])
    assert bare.pbrMetallicRoughness.baseColorTexture is None
    np.testing.assert_allclose(bare.pbrMetallicRoughness.baseColorFactor, [*LINEAR_BARE, 1.0], atol=1e-5)
    assert bare.pbrMetallicRoughness.roughnessFactor == 0.75


def test_vertex_colors_are_linear_and_multiply_textures(tmp_path):
    mesh = awkward_mesh(colors=True)
    player = Player(export(mesh, motion(mesh), tmp_path / "a.glb"))
    painted, bare = player.mesh.primitives
    for primitive in (painted, bare):
        expected = srgb_to_linear(mesh.vertex_colors)[player.ids(primitive)]
        np.testing.assert_allclose(player.read(primitive.attributes.COLOR_0), expected, atol=1e-6)
    assert player.document.materials[1].pbrMetallicRoughness.baseColorFactor == [1, 1, 1, 1]


def test_vertex_colors_of_one_part_leave_the_materials_of_others(tmp_path):
    mesh = two_parts()
    player = Player(export(mesh, motion(mesh), tmp_path / "a.glb"))
    plain, colored = (one.primitives[0] for one in player.document.meshes)
    assert plain.attributes.COLOR_0 is None
    factor = player.document.materials[plain.material].pbrMetallicRoughness.baseColorFactor
    np.testing.assert_allclose(factor, [*srgb_to_linear([0.2, 0.4, 0.6]), 1], atol=1e-6)
    np.testing.assert_allclose(player.read(colored.attributes.COLOR_0), srgb_to_linear([[0.5, 0, 0]] * 3), atol=1e-6)


def test_normals_turn_with_the_surface(tmp_path):
    mesh = awkward_mesh(normals=True)
    angle = 0.7
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    trajectory = np.stack([mesh.vertices, mesh.vertices @ turn])
    player = Player(export(mesh, trajectory, tmp_path / "a.glb", fps=1))
    rest, moved = player.at(0, "NORMAL"), player.at(1, "NORMAL")
    np.testing.assert_allclose(np.linalg.norm(rest, axis=1), 1, atol=1e-6)
    # About an axis in which faces turn: the ends, whose normals are z, stand; the sides turn with the object.
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)
    assert np.linalg.norm(moved - rest, axis=1).max() > 0.5


def test_computed_normals_follow_a_rotation_exactly(tmp_path):
    mesh = awkward_mesh()
    turn = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    player = Player(export(mesh, np.stack([mesh.vertices, mesh.vertices @ turn]), tmp_path / "a.glb", fps=1))
    np.testing.assert_allclose(player.at(1, "NORMAL"), player.at(0, "NORMAL") @ turn, atol=1e-5)


def test_a_z_up_mesh_is_turned_by_its_node(tmp_path):
    mesh = awkward_mesh("z")
    trajectory = motion(mesh)
    player = Player(export(mesh, trajectory, tmp_path / "a.glb"))
    x, y, z, w = player.document.nodes[0].rotation
    up = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])  # where z goes
    np.testing.assert_allclose(up, [0, 1, 0], atol=1e-9)
    assert Player(export(awkward_mesh("y"), trajectory, tmp_path / "b.glb")).document.nodes[0].rotation is None


def test_a_single_frame_has_no_animation(tmp_path):
    mesh = awkward_mesh()
    player = Player(export(mesh, motion(mesh)[:1], tmp_path / "a.glb"))
    assert not player.document.animations and not player.primitive.targets


def test_limited_targets_cost_what_the_report_says(tmp_path):
    mesh = awkward_mesh()
    trajectory = motion(mesh, frames=9)
    report = export_with_report(mesh, trajectory, tmp_path / "a.glb", max_morphs=2)
    assert report.morphs == 2 and "of the diagonal" in str(report)
    player = Player(report.path)
    assert player.mesh.extras["targetNames"] == ["component_00", "component_01"]
    expected = trajectory[:, player.ids()]
    found = np.stack([player.at(k / 24) for k in range(9)])
    distances = np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(np.ptp(trajectory[0], axis=0))
    assert 0.9 * report.max_error < distances.max() <= 1.001 * report.max_error  # the largest is at no face
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)


def test_a_mesh_without_uvs_needs_no_textures(tmp_path):
    mesh = awkward_mesh()
    mesh.corner_uvs = None
    player = Player(export(mesh, motion(mesh), tmp_path / "a.glb"))
    assert player.primitive.attributes.TEXCOORD_0 is None and not player.document.images


def test_the_container_is_aligned(tmp_path):
    mesh = awkward_mesh()
    data = export(mesh, motion(mesh), tmp_path / "a.glb").read_bytes()
    assert int.from_bytes(data[8:12], "little") == len(data)
    length = int.from_bytes(data[12:16], "little")
    assert length % 4 == 0
    document = json.loads(data[20 : 20 + length])
    assert all(view["byteOffset"] % 4 == 0 for view in document["bufferViews"])


def test_blender_plays_the_glb(tmp_path):
    bpy = pytest.importorskip("bpy")
    mesh = awkward_mesh("z")
    trajectory = motion(mesh)
    path = export(mesh, trajectory, tmp_path / "a.glb", fps=24)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(path))
    from clips import blender_positions

    world = blender_positions(range(len(trajectory)), world=True)
    # Blender drops the vertex that has no face and may reorder; compare as sets of points.
    for shown, expected in zip(world, trajectory[:, :-1], strict=True):
        distances = np.linalg.norm(expected[:, None] - shown[None], axis=-1).min(axis=1)
        assert distances.max() < 1e-4


def test_accessors_that_share_bytes_say_how_far_apart_their_vertices_are(tmp_path):
    mesh = awkward_mesh()
    still = mesh.vertices
    path = export(mesh, np.stack([still, still + [0.3, 0, 0], still]), tmp_path / "back.glb", loop=False)
    document = pygltflib.GLTF2().load(str(path))
    views = [accessor.bufferView for accessor in document.accessors if accessor.bufferView is not None]
    shared = {view for view in views if views.count(view) > 1}
    assert shared  # the deltas of positions and of normals, all zero, of the last frame
    assert all(document.bufferViews[view].byteStride for view in shared)
