"""USD read back with pxr."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from clips import LINEAR_BARE, awkward_mesh, files_of, motion, relative_error, two_parts
from PIL import Image
from pxr import Usd, UsdGeom, UsdShade

from animate3d.export import export
from animate3d.meshes import Material
from animate3d.meshes.materials import srgb_to_linear


def mesh_of(stage: Usd.Stage) -> UsdGeom.Mesh:
    return UsdGeom.Mesh(next(prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)))


@pytest.mark.parametrize("suffix", ["usd", "usda", "usdc", "usdz"])
def test_frames_times_axes_and_units(tmp_path, suffix):
    mesh = awkward_mesh("z" if suffix == "usdz" else "y")
    trajectory = motion(mesh)
    path = export(mesh, trajectory, tmp_path / f"a.{suffix}", fps=12.5)
    assert files_of(tmp_path) == [path.name] + ([] if suffix == "usdz" else ["a_textures"])
    stage = Usd.Stage.Open(str(path))
    assert stage.GetTimeCodesPerSecond() == 24
    times = 24 / 12.5 * np.arange(len(trajectory))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, times[-1])
    assert UsdGeom.GetStageUpAxis(stage) == mesh.up_axis.upper()
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    prim = mesh_of(stage)
    found = np.stack([np.array(prim.GetPointsAttr().Get(time)) for time in times])
    assert relative_error(found, trajectory) < 1e-6
    for time, positions in zip(times, found, strict=True):
        np.testing.assert_array_equal(prim.GetExtentAttr().Get(time), [positions.min(axis=0), positions.max(axis=0)])
    half_way = np.array(prim.GetPointsAttr().Get((times[1] + times[2]) / 2))
    assert relative_error(half_way[None], (trajectory[1] + trajectory[2])[None] / 2) < 1e-6


def test_polygons_uvs_and_normals(tmp_path):
    mesh = awkward_mesh(normals=True)
    stage = Usd.Stage.Open(str(export(mesh, motion(mesh), tmp_path / "a.usdc")))
    prim = mesh_of(stage)
    np.testing.assert_array_equal(prim.GetFaceVertexIndicesAttr().Get(), mesh.corners)
    np.testing.assert_array_equal(prim.GetFaceVertexCountsAttr().Get(), np.diff(mesh.face_starts))
    assert prim.GetSubdivisionSchemeAttr().Get() == "none"
    st = UsdGeom.PrimvarsAPI(prim).GetPrimvar("st")
    assert st.GetInterpolation() == "faceVarying"
    np.testing.assert_allclose(st.Get(), mesh.corner_uvs, atol=1e-6)
    normals = UsdGeom.PrimvarsAPI(prim).GetPrimvar("normals")
    assert normals.GetInterpolation() == "faceVarying"
    np.testing.assert_allclose(normals.ComputeFlattened(0), mesh.corner_normals, atol=1e-3)
    valid, reason = UsdGeom.Mesh.ValidateTopology(
        prim.GetFaceVertexIndicesAttr().Get(), prim.GetFaceVertexCountsAttr().Get(), mesh.n_vertices
    )
    assert valid, reason


@pytest.mark.parametrize("suffix", ["usdc", "usdz"])
def test_every_face_finds_its_material_and_textures(tmp_path, suffix):
    mesh = awkward_mesh()
    path = export(mesh, motion(mesh), tmp_path / f"a.{suffix}")
    stage = Usd.Stage.Open(str(path))
    subsets = UsdShade.MaterialBindingAPI(mesh_of(stage)).GetMaterialBindSubsets()
    assert UsdShade.MaterialBindingAPI(mesh_of(stage)).GetMaterialBindSubsetsFamilyType() == "partition"
    for index, subset in enumerate(subsets):
        faces = np.flatnonzero(mesh.face_materials == index)
        np.testing.assert_array_equal(subset.GetIndicesAttr().Get(), faces)
        material, _ = UsdShade.MaterialBindingAPI(subset).ComputeBoundMaterial()
        assert material.GetPrim().GetName() == mesh.materials[index].name
    painted = stage.GetPrimAtPath("/Root/Materials/Painted")
    for role in ("diffuse", "metallic", "roughness", "normal"):
        shader = UsdShade.Shader(painted.GetChild(f"Texture_{role}"))
        asset = shader.GetInput("file").Get()
        assert asset.resolvedPath
        if suffix == "usdz":
            with zipfile.ZipFile(path) as archive:
                content = archive.read(asset.path.removeprefix("./"))
            pixels = np.asarray(Image.open(io.BytesIO(content)))
        else:
            pixels = np.asarray(Image.open(asset.resolvedPath))
        expected = mesh.materials[0].textures[role]
        np.testing.assert_array_equal(pixels.reshape(expected.shape), expected)
    bare = UsdShade.Shader(stage.GetPrimAtPath("/Root/Materials/Bare/Surface"))
    np.testing.assert_allclose(bare.GetInput("diffuseColor").Get(), LINEAR_BARE, atol=1e-5)


def test_vertex_colors_are_display_colors(tmp_path):
    mesh = awkward_mesh(colors=True)
    with pytest.warns(UserWarning, match="USD shows textures without the vertex colours"):
        stage = Usd.Stage.Open(str(export(mesh, motion(mesh), tmp_path / "a.usda")))
    prim = mesh_of(stage)
    primvar = prim.GetDisplayColorPrimvar()
    assert primvar.GetInterpolation() == "vertex"
    np.testing.assert_allclose(primvar.Get(), srgb_to_linear(mesh.vertex_colors), atol=1e-6)


def test_vertex_colors_of_one_part_leave_the_materials_of_others(tmp_path):
    mesh = two_parts()
    stage = Usd.Stage.Open(str(export(mesh, motion(mesh), tmp_path / "a.usda")))
    shaders = [UsdShade.Shader(stage.GetPrimAtPath(f"/Root/Materials/{name}/Surface")) for name in ("Bare", "Colours")]
    plain, colored = (shader.GetInput("diffuseColor") for shader in shaders)
    np.testing.assert_allclose(plain.Get(), srgb_to_linear([0.2, 0.4, 0.6]), atol=1e-6)
    assert not plain.HasConnectedSource() and colored.HasConnectedSource()
    assert not UsdGeom.Mesh(stage.GetPrimAtPath("/Root/plain")).GetDisplayColorAttr().HasAuthoredValue()
    # In one part what has no colour of its own gets that of its material.
    mesh.materials[0] = mesh.materials[1] = Material("Both", (0.2, 0.4, 0.6, 1.0))
    mesh.face_parts = np.zeros(2, np.int64)
    stage = Usd.Stage.Open(str(export(mesh, motion(mesh), tmp_path / "b.usda")))
    shown = mesh_of(stage).GetDisplayColorPrimvar().Get()
    np.testing.assert_allclose(shown, srgb_to_linear([[0.2, 0.4, 0.6]] * 3 + [[0.5, 0, 0]] * 3), atol=1e-6)


def test_a_second_export_replaces_the_textures(tmp_path):
    mesh = awkward_mesh()
    export(mesh, motion(mesh), tmp_path / "a.usdc")
    mesh.materials[0].textures = {"diffuse": mesh.materials[0].textures["diffuse"]}
    export(mesh, motion(mesh), tmp_path / "a.usdc")
    assert files_of(tmp_path / "a_textures") == ["Painted_0_diffuse.png"]
