"""A skeleton for a trajectory: few rigid bones, their hierarchy and the weights of every vertex."""

from __future__ import annotations

import numpy as np

from animate3d.errors import InputError
from animate3d.export.skeleton.files import load_skeleton, save_skeleton
from animate3d.export.skeleton.find import MOST, find_skeleton
from animate3d.export.skeleton.keep import kept_skeleton, rig_of
from animate3d.export.skeleton.picture import bone_colors, skeleton_picture
from animate3d.export.skeleton.rig import Rig, Skinned, judged
from animate3d.export.skeleton.together import kept_scene_skeleton, rigs_of, scene_skeleton
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.scene import Scene

__all__ = [
    "Rig",
    "Skinned",
    "bone_colors",
    "check_rig",
    "find_skeleton",
    "judged",
    "load_skeleton",
    "save_skeleton",
    "skeleton_asked",
    "skeleton_for",
    "skeleton_picture",
]


def skeleton_asked(given: int | str) -> int | str:
    """A number of bones, or one of the words ``"auto"``, ``"keep"`` and ``"off"``, as it comes from a command line.

    Raises:
        InputError: something else.
    """
    text = str(given)
    if text in ("auto", "keep", "off"):
        return text
    if not (text.isdecimal() and 1 <= int(text) <= MOST):
        raise InputError(f"--skeleton takes a number of bones from 1 to {MOST}, auto, keep or off; got {text}.")
    return int(text)


def check_rig(mesh: Mesh) -> None:
    """Whether there is a rig for ``"keep"``.

    Raises:
        InputError: there is none.
    """
    if isinstance(mesh, Scene) and any(member.source for member in mesh.members):
        rigs_of(mesh)
    else:
        rig_of(mesh)


def skeleton_for(mesh: Mesh, positions: np.ndarray, wanted: int | str | Skinned) -> Skinned | None:
    """The skeleton that is asked for: a number of bones, ``"auto"``, ``"keep"``, ``"off"``, or one found before.

    Args:
        positions: ``[F, N, 3]``

    Raises:
        InputError: none of these, one of another clip, or a mesh without the rig that is to be kept.
        MissingDependencyError: `py_dem_bones` is not installed.
    """
    if isinstance(wanted, Skinned):
        shape = (len(wanted.rig.rotations), len(wanted.rig.weights))
        if shape != positions.shape[:2]:
            raise InputError(
                f"The skeleton is that of {shape[0]} frames and {shape[1]} vertices; this clip has "
                f"{positions.shape[0]} frames and {positions.shape[1]} vertices."
            )
        return wanted
    if wanted == "off":
        return None
    if wanted == "keep":
        if isinstance(mesh, Scene) and any(member.source for member in mesh.members):
            return kept_scene_skeleton(mesh, positions)
        return kept_skeleton(mesh, positions)
    if isinstance(mesh, Scene):
        return scene_skeleton(mesh, positions, wanted)
    return find_skeleton(mesh, positions, wanted)
