"""Parts, places, time and materials in USD, FBX and OBJ, read with other libraries than the writers'."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from clips import awkward_mesh, motion, relative_error
from pxr import Usd, UsdGeom, UsdShade
from round_trip import everything

from animate3d.export import export, export_with_report
from animate3d.export.fbx_tree import Node, read_tree, write_tree
from animate3d.export.usd import identifier
from animate3d.meshes import Material, Part, load_mesh


def moving(mesh):
    diagonal = mesh.diagonal()
    return np.stack([mesh.vertices + 0.05 * k * diagonal * np.sin(mesh.vertices / diagonal + k) for k in range(4)])


def world_points(stage: Usd.Stage, time: float) -> np.ndarray:
    """All points in the coordinates of the stage, prim by prim. ``[N, 3]``"""
    cache, found = UsdGeom.XformCache(time), []
    for prim in stage.Traverse():
        if prim.IsA(UsdGeom.Mesh):
            matrix = np.array(cache.GetLocalToWorldTransform(prim))
            points = np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get(time), dtype=np.float64)
            found.append(points @ matrix[:3, :3] + matrix[3, :3])
    return np.concatenate(found)


@pytest.mark.parametrize("far", [False, True])
def test_usd_has_a_prim_for_every_part_at_its_place(tmp_path, far):
    mesh = everything(far=far)
    trajectory = moving(mesh)
    stage = Usd.Stage.Open(str(export(mesh, trajectory, tmp_path / "a.usdc", fps=8)))
    prims = [prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]
    assert [str(prim.GetPath()) for prim in prims] == [
        "/Root/body/body",
        "/Root/body/left_eye",
        "/Root/body/right_eye",
    ]
    assert prims[1].GetDisplayName() == "left eye"
    for k, positions in enumerate(trajectory):
        error = np.abs(world_points(stage, 3 * k) - positions - mesh.origin).max()
        assert error < 1e-6 * mesh.diagonal()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("left eye", "left_eye"), ("11b_wing", "_11b_wing"), ("Café.001", "Cafe_001"), ("皮肤", "part_3"), ("", "part_3")],
)
def test_prim_names_read_like_the_parts(name, expected):
    assert identifier(name, "part_3") == expected


def test_usd_loops_within_one_time_code(tmp_path):
    mesh = awkward_mesh()
    trajectory = motion(mesh)
    export_with_report(mesh, trajectory, tmp_path / "a.usdc", fps=8, loop=True)
    stage = Usd.Stage.Open(str(tmp_path / "a.usdc"))
    assert stage.GetEndTimeCode() == 3 * len(trajectory) - 1
    points = next(UsdGeom.Mesh(prim) for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)).GetPointsAttr()
    np.testing.assert_allclose(points.Get(3 * len(trajectory)), trajectory[0], atol=1e-6)


def test_usd_normals_move_though_the_mesh_has_none(tmp_path):
    mesh = awkward_mesh()
    stage = Usd.Stage.Open(str(export(mesh, motion(mesh), tmp_path / "a.usdc", fps=24)))
    prim = next(prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh))
    normals = UsdGeom.PrimvarsAPI(prim).GetPrimvar("normals")
    first, last = (np.array(normals.ComputeFlattened(time)) for time in (0, 4))
    assert len(first) == len(mesh.corners) and np.abs(first - last).max() > 0.1
    assert len(normals.Get(0)) < len(first)  # indexed


def usd_material(mesh, index: int, tmp_path: Path) -> tuple[UsdShade.Shader, dict[str, UsdShade.Shader]]:
    stage = Usd.Stage.Open(str(export(mesh, mesh.vertices[None], tmp_path / "a.usda")))
    prims = [prim for prim in stage.Traverse() if prim.IsA(UsdShade.Material)]
    children = {child.GetName(): UsdShade.Shader(child) for child in prims[index].GetChildren()}
    children["stage"] = stage
    return children["Surface"], children


def test_usd_materials_keep_occlusion_normal_scale_and_wraps(tmp_path):
    surface, shaders = usd_material(everything(), 0, tmp_path)
    assert not surface.GetInput("opacity")
    occlusion = shaders["Texture_occlusion"]
    assert (occlusion.GetInput("scale").Get()[0], occlusion.GetInput("bias").Get()[0]) == (0.5, 0.5)
    assert tuple(shaders["Texture_normal"].GetInput("scale").Get()) == (0.5, 0.5, 2, 1)
    assert tuple(shaders["Texture_normal"].GetInput("bias").Get()) == (-0.25, -0.25, -1, 0)
    assert shaders["Texture_diffuse"].GetInput("wrapS").Get() == "clamp"


def test_usd_materials_keep_masks_glass_and_lamps(tmp_path):
    mask, _shaders = usd_material(everything(), 2, tmp_path)
    assert mask.GetInput("opacityThreshold").Get() == 0.25 and mask.GetInput("opacity").HasConnectedSource()
    glass, _shaders = usd_material(everything(), 3, tmp_path)
    assert glass.GetInput("opacity").Get() == 0.5 and not glass.GetInput("opacityThreshold")
    lamp, _shaders = usd_material(everything(), 4, tmp_path)
    np.testing.assert_allclose(lamp.GetInput("emissiveColor").Get(), (0, 4, 1))


def test_alpha_that_nothing_shows_is_opaque(tmp_path):
    mesh = awkward_mesh()
    image = np.full((8, 8, 4), 255, dtype=np.uint8)
    image[:, 4:, 3] = 0
    mesh.corner_uvs = mesh.corner_uvs * [0.4, 1]
    mesh.materials[0] = Material("Painted", textures={"diffuse": image})
    surface, _shaders = usd_material(mesh, 0, tmp_path)
    assert not surface.GetInput("opacity")


def test_usdz_passes_the_compliance_checks(tmp_path):
    from pxr import UsdValidation

    mesh = everything(far=True)
    path = export(mesh, moving(mesh), tmp_path / "a [1] ü.usdz", fps=8)
    context = UsdValidation.ValidationContext(UsdValidation.ValidationRegistry().GetOrLoadAllValidators())
    errors = context.Validate(Usd.Stage.Open(str(path)))
    assert not [error.GetMessage() for error in errors]


NAMES = ["a:b", "m #1", "x[0]", "${x}", "100%41", 'it\'s "q"', "🐉 é", "`$(x)`", "@at@", "ü" * 100]


@pytest.mark.parametrize("suffix", ["usdc", "usdz", "obj"])
def test_results_have_any_name_and_name_their_textures_plainly(tmp_path, suffix):
    mesh = awkward_mesh()
    for name in NAMES:
        folder = tmp_path / name
        path = export(mesh, motion(mesh)[:1], folder / f"{name}.{suffix}")
        assert path.exists()
        others = [item.name for item in folder.iterdir() if item != path]
        assert all(item.isascii() and not set(item) & set(":#[]${}%'\"@`") for item in others)
        if suffix != "obj":
            stage = Usd.Stage.Open(str(path))
            shaders = [prim for prim in stage.Traverse() if prim.GetName() == "Texture_diffuse"]
            assert UsdShade.Shader(shaders[0]).GetInput("file").Get().resolvedPath


def test_obj_frames_have_the_files_coordinates_and_moving_normals(tmp_path):
    mesh = everything(far=True)
    trajectory = moving(mesh)
    path = export(mesh, trajectory, tmp_path / "a.obj")
    normals = []
    for k, positions in enumerate(trajectory):
        lines = (path / f"frame{k:04d}.obj").read_text().splitlines()
        found = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], dtype=np.float64)
        assert np.abs(found - positions - mesh.origin).max() < 1e-7
        normals.append([line for line in lines if line.startswith("vn ")])
        assert [line for line in lines if line.startswith("o ")] == ["o body", "o left eye", "o right eye"]
        assert "s 1" in lines
    assert normals[0] != normals[1]
    text = (path / "base.mtl").read_text()
    assert "norm -bm 0.25" in text and "map_Bump -bm 0.25" in text


def fbx(path: Path) -> tuple[Node, Node]:
    root, version, tail = read_tree(path.read_bytes())
    again, _version, _tail = read_tree(write_tree(root, version, tail))
    assert [node.name for node in again.children] == [node.name for node in root.children]
    return root, root.first("Objects")


def properties(node: Node) -> dict[bytes, list]:
    return {item.properties[0][1]: [v for _, v in item.properties[4:]] for item in node.first("Properties70").children}


def test_fbx_has_exact_places_names_and_no_trace_of_where_it_was_made(tmp_path):
    pytest.importorskip("bpy")
    mesh = everything(far=True)
    mesh.parts = [Part("body"), Part("left eye", 0), Part("long " * 20 + "🐉", 0)]
    path = tmp_path / "a.fbx"
    export_with_report(mesh, moving(mesh), path, fps=8, clip_name="wing flap")
    _root, objects = fbx(path)
    models = {node.properties[1][1].partition(b"\0")[0].decode(): properties(node) for node in objects.all("Model")}
    assert set(models) == {part.name for part in mesh.parts}
    assert models["body"][b"Lcl Translation"] == mesh.origin.tolist()
    assert b"Lcl Scaling" not in models["body"] or models["body"][b"Lcl Scaling"] == [1, 1, 1]
    (stack,) = objects.all("AnimationStack")
    assert stack.properties[1][1].startswith(b"wing flap\0")
    assert str(tmp_path).encode() not in path.read_bytes() and b"/tmp" not in path.read_bytes()


def test_fbx_closes_a_loop_and_moves_the_normals_of_shapes(tmp_path):
    pytest.importorskip("bpy")
    mesh = awkward_mesh()
    trajectory = motion(mesh)
    export_with_report(mesh, trajectory, tmp_path / "a.fbx", fps=8, loop=True)
    _root, objects = fbx(tmp_path / "a.fbx")
    second = 46186158000
    curves = [(c.first("KeyTime").properties[0][1], c.first("KeyValueFloat").properties[0][1])
              for c in objects.all("AnimationCurve")]  # fmt: skip
    assert max(times[-1] for times, _ in curves) == len(trajectory) * second // 8
    assert all(values[-1] == 0 for _, values in curves)
    assert not [n for n in objects.all("AnimationCurveNode") if n.properties[1][1].partition(b"\0")[0] in b"TRS"]
    shapes = [node for node in objects.all("Geometry") if node.properties[2][1] == b"Shape"]
    turns = [node.first("Normals").properties[0][1] for node in shapes]
    assert max(np.abs(turn).max() for turn in turns) > 0.1
    (stack,) = objects.all("AnimationStack")
    assert stack.properties[1][1].partition(b"\0")[0].endswith(b"-loop")


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_tiny_and_huge_models_move_exactly_in_fbx(tmp_path, size):
    bpy = pytest.importorskip("bpy")
    from clips import blender_positions

    mesh = awkward_mesh()
    mesh.vertices = mesh.vertices * size
    trajectory = motion(awkward_mesh()) * size
    path = export(mesh, trajectory, tmp_path / "a.fbx", fps=24)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=str(path))
    assert relative_error(blender_positions(range(1, 6)), trajectory) < 1e-5


def test_a_rig_in_an_fbx_is_said_to_be_left_out(tmp_path):
    bpy = pytest.importorskip("bpy")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.object.armature_add()
    rig = bpy.context.object
    bpy.ops.mesh.primitive_cube_add()
    bpy.context.object.name = "Body"
    bpy.context.object.parent = rig
    bpy.ops.export_scene.fbx(filepath=str(tmp_path / "a.fbx"))
    with pytest.warns(UserWarning, match="rig"):
        mesh = load_mesh(tmp_path / "a.fbx")
    assert [part.name for part in mesh.parts] == ["Body"]


@pytest.mark.parametrize("suffix", ["usdc", "fbx", "obj", "abc"])
def test_a_name_with_a_line_break_is_refused(tmp_path, suffix):
    from animate3d.errors import InputError

    mesh = awkward_mesh()
    with warnings.catch_warnings(), pytest.raises(InputError, match="line break"):
        export(mesh, motion(mesh), tmp_path / f"a\nb.{suffix}")
    assert not list(tmp_path.iterdir())
