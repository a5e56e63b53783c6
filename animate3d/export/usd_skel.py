"""A skeleton in USD (UsdSkel): joints with their animation, and the influences of the meshes that follow them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pxr import Gf, Sdf, Usd, UsdGeom, UsdSkel, Vt

from animate3d.export.skeleton.rig import Rig


def write_skeleton(stage: Any, root: Any, rig: Rig, times: np.ndarray, names: list[str], *, closes: bool) -> Any:
    """Define ``Skeleton`` and its ``Animation`` below a SkelRoot.

    Args:
        root: path of the SkelRoot.
        times: ``[F]`` or ``[F + 1]`` time codes.
        names: of the joints, as prims may be called, all different.
        closes: a key equal to frame 0 follows the last.

    Returns:
        the path of the skeleton.
    """
    skeleton = UsdSkel.Skeleton.Define(stage, root.AppendChild("Skeleton"))
    joints: list[str] = []
    for name, parent in zip(names, rig.parents.tolist(), strict=True):
        joints.append(name if parent < 0 else f"{joints[parent]}/{name}")
    skeleton.CreateJointsAttr(Vt.TokenArray(joints))
    turns, moves = rig.keyed(closes=closes)
    skeleton.CreateBindTransformsAttr(_matrices(rig.axes, rig.joints))
    local = [Gf.Matrix4d(Gf.Rotation(_quaternion(q)), Gf.Vec3d(*t)) for q, t in zip(turns[0], moves[0], strict=True)]
    skeleton.CreateRestTransformsAttr(Vt.Matrix4dArray(local))
    animation = UsdSkel.Animation.Define(stage, skeleton.GetPath().AppendChild("Animation"))
    animation.CreateJointsAttr(Vt.TokenArray(joints))
    animation.CreateScalesAttr(Vt.Vec3hArray([Gf.Vec3h(1, 1, 1)] * len(rig)))
    rotations, translations = animation.CreateRotationsAttr(), animation.CreateTranslationsAttr()
    for time, quaternions, places in zip(times.tolist(), turns, moves, strict=True):
        rotations.Set(Vt.QuatfArray([Gf.Quatf(_quaternion(q)) for q in quaternions]), Usd.TimeCode(time))
        translations.Set(Vt.Vec3fArray.FromNumpy(places.astype(np.float32)), Usd.TimeCode(time))
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    return skeleton.GetPath()


def bind_skin(prim: UsdGeom.Mesh, rig: Rig, vertices: np.ndarray, skeleton: Any) -> None:
    """Let a mesh follow a skeleton.

    Args:
        vertices: ``[n]`` numbers of its points in the rig.
        skeleton: path.
    """
    binding = UsdSkel.BindingAPI.Apply(prim.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton])
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1.0))
    width = rig.influences.shape[1]
    bones = Vt.IntArray.FromNumpy(rig.influences[vertices].astype(np.int32).reshape(-1))
    shares = Vt.FloatArray.FromNumpy(np.ascontiguousarray(rig.weights[vertices]).reshape(-1))
    binding.CreateJointIndicesPrimvar(False, width).Set(bones)
    binding.CreateJointWeightsPrimvar(False, width).Set(shares)


def write_extents(boundable: Any, frames: np.ndarray, times: np.ndarray) -> None:
    """The box of positions ``[F, n, 3]`` at every time; after the last frame comes frame 0."""
    extent = boundable.GetPrim().CreateAttribute("extent", Sdf.ValueTypeNames.Float3Array)
    for key, time in enumerate(times.tolist()):
        points = frames[key % len(frames)].astype(np.float32)
        box = np.stack([points.min(axis=0), points.max(axis=0)])
        extent.Set(Vt.Vec3fArray.FromNumpy(box), Usd.TimeCode(time))


def _quaternion(values: np.ndarray) -> Gf.Quatd:
    w, x, y, z = values.tolist()
    return Gf.Quatd(w, x, y, z)


def _matrices(axes: np.ndarray, places: np.ndarray) -> Any:
    """USD multiplies rows from the left: its matrices are transposed."""
    matrices = np.tile(np.eye(4), (len(axes), 1, 1))
    matrices[:, :3, :3] = axes.transpose(0, 2, 1)
    matrices[:, 3, :3] = places
    return Vt.Matrix4dArray([Gf.Matrix4d(matrix.tolist()) for matrix in matrices])
