"""glTF files of every kind: what the specification says comes out, damaged ones end in one sentence."""

from __future__ import annotations

import re
import time
import warnings
from pathlib import Path

import gltf_files
import numpy as np
import pytest
from gltf_files import Builder, ball, encoded, picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from animate3d.errors import Animate3DError, InputError, MissingDependencyError
from animate3d.meshes import Mesh, Part, gltf_file, load_mesh, vertex_colors
from animate3d.meshes.gltf_materials import tinted

POINTS, UVS, TRIANGLES = ball()
COMPRESSED = {"draco": "DracoPy", "meshopt": "meshoptimizer"}
KINDS = ("everything", "quantized", "sparse", "skinned", *COMPRESSED)


def made(kind: str) -> Builder:
    if kind in COMPRESSED:
        pytest.importorskip(COMPRESSED[kind])
    return getattr(gltf_files, kind)()


def with_material(material: dict, *, extension: str | None = None, pixels: np.ndarray | None = None) -> Builder:
    """A ball with one material, whose texture number 0 is ``pixels``."""
    b = Builder()
    b.texture(encoded(picture() if pixels is None else pixels))
    b.show(b.ball(b.add("materials", material)))
    if extension is not None:
        b.use(extension, required=True)
    return b


def surface(tmp_path: Path, material: dict, **options: object) -> tuple[Mesh, object]:
    mesh = load_mesh(with_material(material, **options).save(tmp_path / "a.glb"))
    return mesh, mesh.materials[0]


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_quantised_integers_are_normalised_and_their_node_scales_them(tmp_path, suffix):
    mesh = load_mesh(made("quantized").save(tmp_path / f"a{suffix}"))
    np.testing.assert_allclose(mesh.vertices, 2 * POINTS, atol=1e-4)
    np.testing.assert_allclose(mesh.corner_uvs, UVS[TRIANGLES.reshape(-1)] * [1, -1] + [0, 1], atol=2e-3)


@pytest.mark.parametrize("kind", COMPRESSED)
def test_compressed_meshes_are_those_before_compression(tmp_path, kind):
    mesh = load_mesh(made(kind).save(tmp_path / "a.glb"))
    expected = POINTS * (2 if kind == "meshopt" else 1)
    shown = {tuple(sorted(map(tuple, triangle.round(2)))) for triangle in mesh.vertices[mesh.corners].reshape(-1, 3, 3)}
    wanted = {tuple(sorted(map(tuple, triangle.round(2)))) for triangle in expected[TRIANGLES]}
    assert len(shown & wanted) > 0.9 * len(wanted)  # a few fall to the other side of a rounding step
    assert np.abs(mesh.corner_uvs.max(axis=0) - 1).max() < 0.01


@pytest.mark.parametrize("kind", COMPRESSED)
def test_without_its_decoder_a_compressed_file_says_what_to_install(tmp_path, kind, monkeypatch):
    path = made(kind).save(tmp_path / "a.glb")

    def missing(module: str, *, feature: str, extra: str) -> None:
        raise MissingDependencyError(f"{feature} needs {module}: {extra}")

    monkeypatch.setattr(gltf_file, "require", missing)
    with pytest.raises(MissingDependencyError, match=rf"a\.glb.*(Draco|meshopt).*{COMPRESSED[kind]}: gltf"):
        load_mesh(path)


def test_sparse_values_replace_those_below(tmp_path):
    mesh = load_mesh(made("sparse").save(tmp_path / "a.glb"))
    np.testing.assert_allclose(mesh.vertices[0], [5, 6, 7])
    np.testing.assert_allclose(mesh.vertices[1:], POINTS[1:], atol=1e-6)


@pytest.mark.parametrize(
    ("removed", "animations", "said"),
    [
        (("skins", "targets"), 1, "its animation (1) is dropped"),
        (("targets",), 0, "its rig (joints: 1) is dropped"),
        (("skins",), 0, "its morph targets are dropped"),
        (("skins",), 2, "its animations (2) and morph targets are dropped"),
        ((), 2, "its animations (2), rig (joints: 1) and morph targets are dropped"),
    ],
)
def test_motion_in_the_file_is_said_to_be_dropped_in_one_sentence(tmp_path, removed, animations, said):
    b = made("skinned")
    if "skins" in removed:
        del b.document["nodes"][0]["skin"]
    if "targets" in removed:
        del b.document["meshes"][0]["primitives"][0]["targets"]
    b.document["animations"] = [{"channels": [], "samplers": []}] * animations
    with pytest.warns(UserWarning, match=re.escape(f"a.glb: {said};")) as told:
        load_mesh(b.save(tmp_path / "a.glb"))
    assert len(told) == 1


def test_a_skinned_mesh_follows_its_joints_not_its_node(tmp_path):
    with pytest.warns(UserWarning, match="dropped"):
        mesh = load_mesh(made("skinned").save(tmp_path / "a.glb"))
    # The joint lifts by 1; the morph target moves by half of 2.
    np.testing.assert_allclose(mesh.vertices, POINTS + [0, 1, 1], atol=1e-6)


def test_a_file_far_away_keeps_its_shape(tmp_path):
    b = Builder()
    b.show(b.ball(), translation=[448262.5, 120.0, 5411932.25])
    mesh = load_mesh(b.save(tmp_path / "a.glb"))
    np.testing.assert_allclose(mesh.vertices + mesh.origin - [448262.5, 120.0, 5411932.25], POINTS, atol=1e-6)


def test_nodes_with_meshes_and_those_above_them_are_parts(tmp_path):
    b = Builder()
    primitive = b.ball()
    b.add("nodes", {"name": "top", "children": [1, 3], "translation": [1, 0, 0]})
    b.show(primitive, name="left eye", scale=[-1, 1, 1])
    b.add("nodes", {"name": "camera"})
    b.add("nodes", {"mesh": 0, "translation": [0, 2, 0]})
    b.add("nodes", {"name": "elsewhere", "mesh": 0})
    b.document["nodes"][0]["children"] = [1, 2, 3]
    mesh = load_mesh(b.save(tmp_path / "a.glb"))
    assert mesh.parts == [Part("top"), Part("left eye", 0), Part("node_3", 0)]
    n = len(POINTS)
    np.testing.assert_array_equal(np.unique(mesh.face_parts), [1, 2])
    np.testing.assert_allclose(mesh.vertices[:n], POINTS * [-1, 1, 1] + [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(mesh.vertices[n:], POINTS + [1, 2, 0], atol=1e-6)
    np.testing.assert_array_equal(mesh.corners[:3], TRIANGLES[0, ::-1])  # a mirrored part is turned round


def test_primitives_on_the_same_accessors_share_their_vertices(tmp_path):
    b = Builder()
    first = b.ball(b.add("materials", {"name": "one"}))
    second = first | {"material": b.add("materials", {"name": "two"}), "indices": b.accessor([0, 1, 10], "u2")}
    b.show(first, second)
    mesh = load_mesh(b.save(tmp_path / "a.glb"))
    assert mesh.n_vertices == len(POINTS) and [m.name for m in mesh.materials] == ["one", "two"]
    np.testing.assert_array_equal(mesh.corners[-3:], [0, 1, 10])


def test_strips_and_fans_are_triangles_and_lines_are_left_out_with_a_word(tmp_path):
    b = Builder()
    position = b.accessor(POINTS, bounds=True)
    order = b.accessor([0, 9, 1, 10, 2], "u2")
    modes = [{"attributes": {"POSITION": position}, "indices": order, "mode": mode} for mode in (5, 6, 1)]
    b.show(*modes)
    with pytest.warns(UserWarning, match="points and lines are left out"):
        mesh = load_mesh(b.save(tmp_path / "a.glb"))
    strip, fan = mesh.corners.reshape(2, 3, 3)
    assert strip.tolist() == [[0, 9, 1], [9, 10, 1], [1, 10, 2]]
    assert fan.tolist() == [[9, 1, 0], [1, 10, 0], [10, 2, 0]]


@pytest.mark.parametrize("scenes", [[[0]], [[0], [0, 0]], [[0], [7]], [[0], [1]], [[0], [1], [1, 0]]])
def test_meshes_of_other_scenes_are_said_to_be_left_out(tmp_path, scenes):
    b = Builder()
    b.show(b.ball())
    b.show(b.ball())
    b.document["scenes"] = [{"nodes": nodes} for nodes in scenes]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert load_mesh(b.save(tmp_path / "a.glb")).n_vertices == len(POINTS)
    others = sum(1 in nodes for nodes in scenes)
    said = {0: "", 1: "another scene is left out", 2: "2 other scenes are left out"}[others]
    assert len(told) == bool(others) and said in " ".join(str(warning.message) for warning in told)


@pytest.mark.parametrize("rotation", [0.0, np.pi / 2])
def test_texture_transforms_move_the_look_up(tmp_path, rotation):
    transform = {"offset": [0.5, 0.25], "scale": [0.5, 0.25], "rotation": rotation}
    info = {"index": 0, "texCoord": 3, "extensions": {"KHR_texture_transform": transform | {"texCoord": 0}}}
    mesh, _ = surface(tmp_path, {"pbrMetallicRoughness": {"baseColorTexture": info}}, extension="KHR_texture_transform")
    u, v = UVS[TRIANGLES.reshape(-1)].T * [[0.5], [0.25]]
    # Counter-clockwise with v down: a quarter turn takes u to -v.
    shown = np.stack([0.5 + u, 0.25 + v] if rotation == 0 else [0.5 + v, 0.25 - u], axis=1)
    np.testing.assert_allclose(mesh.corner_uvs * [1, -1] + [0, 1], shown, atol=1e-6)
    np.testing.assert_allclose(mesh.gltf.uv_sets[0], UVS[TRIANGLES.reshape(-1)], atol=1e-6)


def test_the_set_of_texture_coordinates_is_the_one_that_is_named(tmp_path):
    b = with_material({"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, "texCoord": 1}}})
    b.document["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_1"] = b.accessor(2 * UVS)
    mesh = load_mesh(b.save(tmp_path / "a.glb"))
    np.testing.assert_allclose(mesh.corner_uvs * [1, -1] + [0, 1], 2 * UVS[TRIANGLES.reshape(-1)], atol=1e-6)


def test_every_value_of_a_material_is_read(tmp_path):
    with pytest.warns(UserWarning, match="texture coordinates of its own"):
        material = load_mesh(made("everything").save(tmp_path / "a.glb")).materials[0]
    assert (material.alpha_mode, material.alpha_cutoff, material.double_sided) == ("mask", 0.3, True)
    assert (material.emissive, material.emissive_strength) == ((0, 1, 0.2), 4)
    assert (material.normal_scale, material.occlusion_strength) == (0.3, 0.6)
    clamped = dict.fromkeys(("metallic", "roughness", "normal", "occlusion"), ("clamp", "repeat"))
    assert material.wraps == clamped | {"emissive": ("mirror", "repeat")}
    packed, painted = picture(1), picture(0, channels=4)
    np.testing.assert_allclose(material.textures["metallic"][..., 0], packed[..., 2] * 0.25, atol=0.5)
    np.testing.assert_allclose(material.textures["roughness"][..., 0], packed[..., 1] * 0.5, atol=0.5)
    np.testing.assert_array_equal(material.textures["occlusion"], packed[..., :1])
    np.testing.assert_allclose(material.textures["diffuse"][..., 3], painted[..., 3] * 0.75, atol=0.5)
    np.testing.assert_array_equal(material.textures["diffuse"][..., 2], painted[..., 2])
    assert (material.textures["diffuse"][..., 0] < painted[..., 0]).mean() > 0.9


def test_opaque_ignores_alpha(tmp_path):
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "baseColorFactor": [1, 1, 1, 0.2]}}
    _, found = surface(tmp_path, material, pixels=picture(channels=4))
    assert (found.alpha_mode, found.base_color[3], found.textures["diffuse"].shape[-1]) == ("opaque", 1.0, 3)


def test_an_emissive_texture_without_a_factor_does_not_glow(tmp_path):
    assert surface(tmp_path, {"emissiveTexture": {"index": 0}})[1].emissive == (0, 0, 0)
    assert surface(tmp_path, {"extensions": {"KHR_materials_unlit": {}}}, extension="KHR_materials_unlit")[1].unlit


def test_webp_is_read(tmp_path):
    b = Builder()
    image = b.image(encoded(picture(), "WEBP", lossless=True), "image/webp")
    texture = b.add("textures", {"extensions": {"EXT_texture_webp": {"source": image}}})
    b.show(b.ball(b.add("materials", {"pbrMetallicRoughness": {"baseColorTexture": {"index": texture}}})))
    b.use("EXT_texture_webp", required=True)
    mesh = load_mesh(b.save(tmp_path / "a.glb"))
    np.testing.assert_array_equal(mesh.materials[0].textures["diffuse"], picture())


def test_ktx2_is_named(tmp_path):
    b = Builder()
    image = b.image(b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(60), "image/ktx2")
    texture = b.add("textures", {"extensions": {"KHR_texture_basisu": {"source": image}}})
    b.show(b.ball(b.add("materials", {"pbrMetallicRoughness": {"baseColorTexture": {"index": texture}}})))
    b.use("KHR_texture_basisu", required=True)
    with pytest.warns(UserWarning, match=r"a\.glb.*KTX2"):
        load_mesh(b.save(tmp_path / "a.glb"))


def test_specular_glossiness_becomes_metal_and_roughness(tmp_path):
    name = "KHR_materials_pbrSpecularGlossiness"
    plain = {"diffuseFactor": [0.5, 0.2, 0.1, 1], "specularFactor": [0.04, 0.04, 0.04], "glossinessFactor": 0.75}
    _, found = surface(tmp_path, {"extensions": {name: plain}}, extension=name)
    assert (found.metallic, found.roughness) == (pytest.approx(0, abs=1e-6), 0.25)
    np.testing.assert_allclose(found.base_color[:3], [0.735, 0.485, 0.349], atol=2e-3)
    gold = {"diffuseFactor": [0, 0, 0, 1], "specularFactor": [1.0, 0.77, 0.34], "glossinessFactor": 1}
    _, found = surface(tmp_path, {"extensions": {name: gold}}, extension=name)
    assert found.metallic > 0.95 and found.base_color[0] > found.base_color[2] + 0.3
    _, found = surface(tmp_path, {"extensions": {name: plain | {"diffuseTexture": {"index": 0}}}}, extension=name)
    assert found.textures["diffuse"].shape == (8, 8, 3) and found.textures["roughness"].min() == 64


def test_vertex_colors_are_multiplied_by_the_factor(tmp_path):
    b = Builder()
    material = b.add("materials", {"pbrMetallicRoughness": {"baseColorFactor": [1, 0.5, 0, 1]}})
    b.show(b.ball(material, COLOR_0=b.accessor(np.full((len(POINTS), 4), 255), "u1", normalized=True)))
    mesh = load_mesh(b.save(tmp_path / "a.glb"))
    np.testing.assert_allclose(vertex_colors(mesh)[0], [1, 0.735, 0], atol=1e-3)


def test_vertex_colors_multiply_a_texture_and_are_only_where_the_file_has_them(tmp_path):
    b = Builder()
    grey = b.accessor(np.full((len(POINTS), 3), 0.5))
    where = {"baseColorTexture": {"index": b.texture(encoded(np.full((2, 2, 3), 0x80, np.uint8)))}}
    textured = b.add("materials", {"pbrMetallicRoughness": where})
    half = b.add("materials", {"pbrMetallicRoughness": {"baseColorFactor": [0.5, 0.5, 0.5, 1]}})
    both = b.ball(half, COLOR_0=grey)  # the same positions and colours under two materials
    b.show(b.ball(textured, COLOR_0=grey), b.ball(half), both, {**both, "material": b.add("materials", {})})
    mesh = load_mesh(b.save(tmp_path / "a.glb"))
    assert np.isnan(mesh.vertex_colors[:, 0].reshape(4, -1)).all(axis=1).tolist() == [False, True, False, False]
    # 0x80 is 0.2159 in linear light. On the screen half of it is 0.3614, 0.5 is 0.7354 and 0.25 is 0.5371.
    shown = vertex_colors(mesh).reshape(4, len(POINTS), 3)
    np.testing.assert_allclose(
        shown, np.broadcast_to(np.c_[[0.3614, 0.7354, 0.5371, 0.7354]][:, None], shown.shape), atol=1e-3
    )


def test_unlit_materials_are_no_metal_where_they_are_lit(tmp_path):
    name = "KHR_materials_unlit"
    _, found = surface(tmp_path, {"pbrMetallicRoughness": {}, "extensions": {name: {}}}, extension=name)
    assert (found.unlit, found.metallic, found.roughness) == (True, 0, 1)


def test_normals_of_the_file_are_kept(tmp_path):
    b = Builder()
    b.show(b.ball(NORMAL=b.accessor(np.tile([0, 0, 1], (len(POINTS), 1)))), rotation=[0.5**0.5, 0, 0, 0.5**0.5])
    np.testing.assert_allclose(
        load_mesh(b.save(tmp_path / "a.glb")).corner_normals, [[0, -1, 0]] * TRIANGLES.size, atol=1e-6
    )


def test_an_unknown_required_extension_is_refused_by_name_and_a_used_one_is_named(tmp_path):
    b = Builder()
    b.show(b.ball())
    b.use("ACME_holograms")
    with pytest.warns(UserWarning, match=r"a\.glb: the glTF extension ACME_holograms is not supported"):
        load_mesh(b.save(tmp_path / "a.glb"))
    b.use("ACME_holograms", required=True)
    with pytest.raises(InputError, match=r"a\.glb cannot be read without the glTF extension ACME_holograms"):
        load_mesh(b.save(tmp_path / "a.glb"))


def test_known_extensions_of_materials_are_no_news(tmp_path):
    b = Builder()
    b.show(b.ball(b.add("materials", {"extensions": {"KHR_materials_ior": {"ior": 1.2}}})))
    b.use("KHR_materials_ior", "KHR_lights_punctual")
    assert (
        load_mesh(b.save(tmp_path / "a.glb")).materials[0].gltf.entry["extensions"]["KHR_materials_ior"]["ior"] == 1.2
    )


def with_image(path: Path, uri: str) -> Path:
    """A ball whose base colour and clearcoat are an image in a file."""
    b = Builder()
    texture = b.add("textures", {"source": b.add("images", {"uri": uri})})
    coat = {"KHR_materials_clearcoat": {"clearcoatFactor": 0.5, "clearcoatTexture": {"index": texture}}}
    base = {"baseColorFactor": [1, 0, 0, 1], "baseColorTexture": {"index": texture}}
    b.show(b.ball(b.add("materials", {"pbrMetallicRoughness": base, "extensions": coat})))
    return b.save(path)


def test_an_image_is_found_whatever_its_case(tmp_path):
    (tmp_path / "textures").mkdir()
    (tmp_path / "textures" / "skin.png").write_bytes(encoded(picture()))
    mesh = load_mesh(with_image(tmp_path / "a.gltf", "Textures/SKIN.png"))
    np.testing.assert_array_equal(mesh.materials[0].textures["diffuse"], tinted(picture(), np.array([1.0, 0, 0])))


@pytest.mark.parametrize("content", [None, b"\x89PNG, but not really", encoded(picture(size=64))[:-200]])
def test_without_a_readable_image_there_is_the_base_color_and_an_export_has_none_either(tmp_path, content):
    if content is not None:
        (tmp_path / "gone.png").write_bytes(content)
    path = with_image(tmp_path / "a.gltf", "gone.png")
    with pytest.warns(UserWarning, match=r"a\.gltf: .*(gone\.png|diffuse).*is left out") as told:
        (material,) = load_mesh(path).materials
    assert len(told) == 1
    assert "0x" not in str(told[0].message)
    assert not material.textures
    assert material.base_color == (1, 0, 0, 1)
    assert not material.gltf.textures
    assert material.gltf.entry["extensions"] == {"KHR_materials_clearcoat": {"clearcoatFactor": 0.5}}
    assert material.gltf.entry["pbrMetallicRoughness"] == {"baseColorFactor": [1, 0, 0, 1]}


def test_files_outside_of_the_folder_are_not_read(tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(10000))
    (tmp_path / "inside").mkdir()
    b = Builder()
    b.show(b.ball())
    path = b.save(tmp_path / "inside" / "a.gltf")
    path.write_text(path.read_text().replace("a%20data.bin", "../secret.bin"))
    with pytest.raises(InputError, match=r"secret\.bin.*not in its folder"):
        load_mesh(path)


def mutated(content: bytes, data: st.DataObject) -> bytes:
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"-", b"9", b"]", b'"'])
        )
    return bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(1, len(content) + 1)))])


def ends_well(path: Path) -> None:
    """A mesh or one sentence, within seconds."""
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            mesh = load_mesh(path)
        except Animate3DError as error:
            assert "\n" not in str(error).strip() and path.name in str(error)
        else:
            assert np.isfinite(mesh.vertices).all() and 0 <= mesh.corners.min() <= mesh.corners.max() < mesh.n_vertices
    assert time.monotonic() - start < 5


QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@settings(max_examples=20, **QUIET)
@given(data=st.data())
@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_ends_in_a_mesh_or_one_sentence(tmp_path, kind, suffix, data):
    path = tmp_path / f"a{suffix}"
    if not (tmp_path / "whole").exists():
        (tmp_path / "whole").write_bytes(made(kind).save(path).read_bytes())
    path.write_bytes(mutated((tmp_path / "whole").read_bytes(), data))
    ends_well(path)


@pytest.mark.slow
@settings(max_examples=420, **QUIET)
@given(data=st.data())
@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
@pytest.mark.parametrize("kind", KINDS)
def test_much_damage_ends_in_a_mesh_or_one_sentence(tmp_path, kind, suffix, data):
    test_damage_ends_in_a_mesh_or_one_sentence.hypothesis.inner_test(tmp_path, kind, suffix, data)
