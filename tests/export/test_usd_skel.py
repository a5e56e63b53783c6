"""UsdSkel baked to points again by the USD library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import relative_error
from limbs import bending, finger
from pxr import Gf, Usd, UsdGeom, UsdSkel

from animate3d.export import export
from animate3d.export.skeleton import find_skeleton
from animate3d.meshes import Part

pytest.importorskip("py_dem_bones")


def baked(path: Path, codes: list[float], name: str = "mesh") -> np.ndarray:
    """World positions of a mesh at time codes after the library's own skinning. ``[F, n, 3]``"""
    stage = Usd.Stage.Open(str(path))
    root = UsdSkel.Root(stage.GetPrimAtPath("/Root"))
    assert root
    assert UsdSkel.BakeSkinning(root, Gf.Interval(0, max(codes)))
    prim = next(p for p in stage.Traverse() if p.IsA(UsdGeom.Mesh) and p.GetName() == name)
    found = []
    for code in codes:
        points = np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get(code), float)
        matrix = np.array(UsdGeom.XformCache(code).GetLocalToWorldTransform(prim))
        found.append(points @ matrix[:3, :3] + matrix[3, :3])
    return np.stack(found)


@pytest.mark.parametrize("suffix", ["usda", "usdc", "usdz"])
def test_the_library_skins_to_the_prediction_at_every_frame(tmp_path, suffix):
    mesh = replace(finger(), up_axis="z", origin=np.array([10.0, 20.0, 30.0]))
    positions = bending(mesh)
    found = find_skeleton(mesh, positions, 5)
    path = export(mesh, positions, tmp_path / f"a.{suffix}", fps=8, loop=True, skeleton=found)
    shown = baked(path, [3.0 * k for k in range(7)])
    expected = found.rig.posed(positions[0])
    expected = np.concatenate([expected, expected[:1]]) + mesh.origin
    assert relative_error(shown, expected) < 1e-5
    stage = Usd.Stage.Open(str(path))
    assert (stage.GetEndTimeCode(), UsdGeom.GetStageUpAxis(stage)) == (17.0, "Z")


def test_normals_are_turned_with_the_surface(tmp_path):
    mesh = finger()
    positions = bending(mesh)
    path = export(mesh, positions, tmp_path / "a.usdc", fps=24, skeleton=5)
    stage = Usd.Stage.Open(str(path))
    UsdSkel.BakeSkinning(UsdSkel.Root(stage.GetPrimAtPath("/Root")), Gf.Interval(0, 5))
    normals = UsdGeom.Mesh(stage.GetPrimAtPath("/Root/mesh")).GetNormalsAttr()
    plain = Usd.Stage.Open(str(export(mesh, positions, tmp_path / "b.usdc", fps=24)))
    primvar = UsdGeom.PrimvarsAPI(plain.GetPrimAtPath("/Root/mesh")).GetPrimvar("normals")
    turned, expected = np.array(normals.Get(1)), np.array(primvar.ComputeFlattened(1))
    assert np.abs(np.array(normals.Get(0)) - expected).max() > 0.3
    cosine = (turned / np.linalg.norm(turned, axis=1, keepdims=True) * expected).sum(axis=1)
    assert np.median(cosine) > 0.999 and np.quantile(cosine, 0.05) > 0.97


def test_parts_follow_one_skeleton_in_their_hierarchy(tmp_path):
    mesh = finger()
    half = mesh.n_faces // 2
    mesh = replace(
        mesh,
        parts=[Part("hand"), Part("lower", 0), Part("upper", 0)],
        face_parts=np.repeat([1, 2], [half, mesh.n_faces - half]),
    )
    path = export(mesh, bending(mesh), tmp_path / "a.usda", skeleton=4)
    stage = Usd.Stage.Open(str(path))
    skeletons = [p for p in stage.Traverse() if p.IsA(UsdSkel.Skeleton)]
    assert [str(p.GetPath()) for p in skeletons] == ["/Root/Skeleton"]
    for name in ("lower", "upper"):
        binding = UsdSkel.BindingAPI(stage.GetPrimAtPath(f"/Root/hand/{name}"))
        assert binding.GetInheritedSkeleton().GetPath() == "/Root/Skeleton"


def test_boxes_hold_what_is_shown(tmp_path):
    mesh = finger()
    positions = bending(mesh)
    path = export(mesh, positions, tmp_path / "a.usda", fps=24, skeleton=5)
    stage = Usd.Stage.Open(str(path))
    low, high = np.array(UsdGeom.Boundable(stage.GetPrimAtPath("/Root")).GetExtentAttr().Get(1))
    shown = baked(path, [1.0])[0]
    np.testing.assert_allclose([low, high], [shown.min(axis=0), shown.max(axis=0)], atol=1e-4)
