"""Materials in glTF exports: copied from glTF sources, written from others, transparent only where they are."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import gltf_files
import numpy as np
import pytest
from clips import awkward_mesh, motion, texture
from gltf_files import EVERYTHING
from PIL import Image

from animate3d.export import export
from animate3d.export.transparency import alpha_mode, shown_texels
from animate3d.meshes import Material, Mesh, load_mesh
from animate3d.meshes.gltf_materials import texture_infos


def opened(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def resolved(path: Path, index: int = 0) -> dict[str, Any]:
    """A material whose textures stand in the place of their numbers."""
    document, binary = opened(path)
    entry = json.loads(json.dumps(document["materials"][index]))
    for info in texture_infos(entry):
        found = document["textures"][info["index"]]
        view = document["bufferViews"][document["images"][found["source"]]["bufferView"]]
        content = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        info["index"] = [content, document["samplers"][found["sampler"]]]
    return entry


def moved(mesh: Mesh) -> np.ndarray:
    return np.stack([mesh.vertices, mesh.vertices * [1.0, 1.1, 0.9]])


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return gltf_files.everything().save(tmp_path / "source.glb")


@pytest.mark.filterwarnings("ignore:.*texture coordinates of its own", "ignore:.*animation.*dropped")
@pytest.mark.parametrize("frames", [1, 2])
def test_every_value_extension_and_image_of_a_glb_comes_out_again(tmp_path, sample, frames):
    mesh = load_mesh(sample)
    path = export(mesh, moved(mesh)[:frames], tmp_path / "a.glb")
    assert resolved(path) == resolved(sample)
    document, _ = opened(path)
    source, _ = opened(sample)
    assert document["extensionsUsed"] == sorted(source["extensionsUsed"])
    assert document["extensionsRequired"] == source["extensionsRequired"]
    again, attributes = load_mesh(path), document["meshes"][0]["primitives"][0]["attributes"]
    assert {"TEXCOORD_0", "TEXCOORD_1", "COLOR_0", "TANGENT"} <= set(attributes)
    np.testing.assert_allclose(again.vertices[again.corners], mesh.vertices[mesh.corners], atol=1e-6)
    np.testing.assert_allclose(again.corner_uvs, mesh.corner_uvs, atol=1e-6)
    for old, new in zip(mesh.gltf.uv_sets, again.gltf.uv_sets, strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(again.gltf.colors[again.corners], mesh.gltf.colors[mesh.corners])
    assert again.parts == mesh.parts


def test_what_other_formats_say_of_a_material_is_written(tmp_path):
    maps = {kind: texture(number) for number, kind in enumerate(("diffuse", "normal", "occlusion", "emissive"))}
    material = Material(
        "m", textures=maps, alpha_mode="mask", alpha_cutoff=0.2, double_sided=False, emissive=(0.5, 2.0, 0.0),
        emissive_strength=3.0, normal_scale=0.3, occlusion_strength=0.7, unlit=True,
        wraps={"diffuse": ("clamp", "mirror")},
    )  # fmt: skip
    mesh = awkward_mesh()
    mesh.materials = [material, material]
    entry = resolved(export(mesh, motion(mesh)[:1], tmp_path / "a.glb"))
    assert (entry["alphaMode"], entry["alphaCutoff"], entry["doubleSided"]) == ("MASK", 0.2, False)
    assert entry["emissiveFactor"] == [0.25, 1.0, 0.0]
    assert entry["extensions"] == {
        "KHR_materials_emissive_strength": {"emissiveStrength": 6.0},
        "KHR_materials_unlit": {},
    }
    assert (entry["normalTexture"]["scale"], entry["occlusionTexture"]["strength"]) == (0.3, 0.7)
    content, sampler = entry["pbrMetallicRoughness"]["baseColorTexture"]["index"]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), maps["diffuse"])
    assert (sampler["wrapS"], sampler["wrapT"]) == (33071, 33648)


def test_equal_images_and_materials_in_many_parts_are_stored_once(tmp_path):
    mesh = awkward_mesh()
    first = mesh.materials[0]
    copied = Material("copy", textures={kind: image.copy() for kind, image in first.textures.items()})
    mesh.materials = [first, copied]
    document, _ = opened(export(mesh, motion(mesh), tmp_path / "a.glb"))
    assert len(document["images"]) == len(document["textures"]) == 3 and len(document["samplers"]) == 1


def test_eight_materials_cost_no_more_vertices_than_one(tmp_path):
    points, uvs, triangles = gltf_files.ball(60, 40)
    mesh = Mesh.from_faces(points, triangles, corner_uvs=uvs[triangles])
    counts = []
    for materials in (1, 8):
        mesh.materials = [Material(f"m{number}") for number in range(materials)]
        half = np.arange(mesh.n_faces // 2) * 2 * materials // mesh.n_faces
        mesh.face_materials = np.concatenate([half, half])
        document, _ = opened(export(mesh, moved(mesh), tmp_path / "a.glb"))
        positions = [p["attributes"]["POSITION"] for p in document["meshes"][0]["primitives"]]
        counts.append(sum(document["accessors"][number]["count"] for number in set(positions)))
    assert counts[1] <= 1.2 * counts[0]


def square(alpha: np.ndarray, **values: Any) -> Mesh:
    """A square that shows the left half of a texture with this alpha ``[H, W]``."""
    image = np.dstack([np.full((*alpha.shape, 3), 200, dtype=np.uint8), alpha.astype(np.uint8)])
    uvs = np.array([[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]])
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    material = Material("m", textures={"diffuse": image}, **values)
    return Mesh.from_faces(corners, np.array([[0, 1, 2, 3]]), corner_uvs=uvs, material=material)


def test_only_texels_under_the_surface_make_it_transparent():
    gutter, holes, glass = (np.full((16, 16), 255) for _ in range(3))
    gutter[:, 8:] = 0
    holes[4:8, 2:6] = 0
    glass[:, :8] = 128
    assert [alpha_mode(square(alpha), 0)[0] for alpha in (gutter, holes, glass)] == ["opaque", "mask", "blend"]
    np.testing.assert_array_equal(shown_texels(square(gutter), 0, 16, 16), gutter == 255)
    assert alpha_mode(square(glass, alpha_mode="opaque"), 0)[0] == "opaque"
    assert alpha_mode(square(gutter, alpha_mode="mask", alpha_cutoff=0.9), 0) == ("mask", 0.9)
    assert alpha_mode(square(gutter, base_color=(1, 1, 1, 0.5)), 0)[0] == "blend"


def test_texture_coordinates_outside_of_the_texture_wrap_as_the_material_says():
    gutter = np.full((16, 16), 255)
    gutter[:, 8:] = 0
    mesh = square(gutter)
    mesh.corner_uvs = mesh.corner_uvs + np.float32([3, -2])
    assert alpha_mode(mesh, 0)[0] == "opaque"
    mesh.materials[0].wraps["diffuse"] = ("clamp", "repeat")
    assert alpha_mode(mesh, 0)[0] == "mask"


def test_everything_material_is_what_the_sample_has(sample):
    document, _ = opened(sample)
    assert document["materials"][0] == EVERYTHING
