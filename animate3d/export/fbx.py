"""FBX with one shape key per frame or an armature, and embedded textures, through Blender."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from animate3d.errors import InputError
from animate3d.export.blender import export_with_blender
from animate3d.export.clip import Clip
from animate3d.export.morphs import MorphTargets, morph_targets
from animate3d.export.skeleton.rig import Rig

_SMALLEST, _LARGEST = 1e-3, 1e6  # diagonals of models whose bones survive in Blender


def write_fbx(
    clip: Clip, path: Path, max_morphs: int | None = None, rig: Rig | None = None, unit: float = 1.0
) -> MorphTargets:
    """Write ``.fbx``; returns the morph targets that were written.

    Args:
        rig: moves the mesh in place of morph targets, of which there are none then.
        unit: metres of a unit in the file; a unit of the mesh stays a metre.

    Vertices keep their order, polygons their corners. Coordinates in the geometry are those of the mesh's file; the
    file is y-up in metres (its unit factor says so; the object is not scaled), as engines expect it. Importing
    it into Blender with default settings gives the same coordinates, with time 0 at Blender's frame 1.

    Raises:
        MissingDependencyError: Blender is not there.
        InputError: Blender could not write the file, or bones are too small or large for it.
    """
    if unit != 1.0:
        mesh = replace(clip.mesh, vertices=clip.mesh.vertices / unit, origin=clip.mesh.origin / unit)
        clip = replace(clip, mesh=mesh, positions=clip.positions / unit)
        rig = None if rig is None else rig.scaled(1 / unit)
    if rig is not None and not _SMALLEST < clip.diagonal < _LARGEST:
        raise InputError(
            f"{path.name}: Blender keeps no bones of a model {clip.diagonal:.3g} units large; write its skeleton as "
            "glb or usdc, or scale the model."
        )
    morphs = morph_targets(clip if rig is None else clip.still, max_morphs)
    export_with_blender(clip, morphs, path, "fbx", rig, unit)
    return morphs
