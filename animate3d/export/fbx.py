"""FBX with one shape key per frame or an armature, and embedded textures, through Blender."""

from __future__ import annotations

from pathlib import Path

from animate3d.export.blender import export_with_blender
from animate3d.export.clip import Clip
from animate3d.export.morphs import MorphTargets, morph_targets
from animate3d.export.skeleton.rig import Rig


def write_fbx(clip: Clip, path: Path, max_morphs: int | None = None, rig: Rig | None = None) -> MorphTargets:
    """Write ``.fbx``; returns the morph targets that were written.

    Args:
        rig: moves the mesh in place of morph targets, of which there are none then.

    Vertices keep their order, polygons their corners. Coordinates in the geometry are those of the mesh's file; the
    file is y-up in metres (its unit factor says so; the object is not scaled), as engines expect it. Importing
    it into Blender with default settings gives the same coordinates, with time 0 at Blender's frame 1.

    Raises:
        MissingDependencyError: Blender is not there.
        InputError: Blender could not write the file.
    """
    morphs = morph_targets(clip if rig is None else clip.still, max_morphs)
    export_with_blender(clip, morphs, path, "fbx", rig)
    return morphs
