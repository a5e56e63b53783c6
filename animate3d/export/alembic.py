"""Alembic point caches through Blender, with a textured GLB beside them because Alembic carries no materials."""

from __future__ import annotations

from pathlib import Path

from animate3d.export.blender import export_with_blender
from animate3d.export.clip import Clip
from animate3d.export.gltf import write_gltf
from animate3d.export.morphs import morph_targets


def write_alembic(clip: Clip, path: Path) -> Path:
    """Write ``.abc`` and ``<stem>_static.glb``; returns the path of the latter.

    Frame k is at k / fps seconds, the file is y-up as Alembic's convention has it, UVs and the names of the
    materials (as face sets) are kept.

    Raises:
        MissingDependencyError: Blender is not there.
        InputError: Blender could not write the file.
    """
    static = path.with_name(f"{path.stem}_static.glb")
    export_with_blender(clip, morph_targets(clip), path, "abc")
    write_gltf(clip.still, static)
    return static
