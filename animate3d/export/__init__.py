"""Animated meshes in the formats of other programs; docs/export.md has the table of axes, units and times."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from animate3d.errors import InputError
from animate3d.export.clip import Clip, checked_clip
from animate3d.export.engines import Engine, engine_named
from animate3d.export.inbetweens import resampled
from animate3d.export.morphs import MorphTargets
from animate3d.export.painting import left_out
from animate3d.export.ply_sequence import export_gaussians
from animate3d.export.preview import preview
from animate3d.export.skeleton import Skinned, skeleton_for
from animate3d.gaussians import from_mesh
from animate3d.meshes.mesh import Mesh

__all__ = [
    "SKINNED",
    "SUFFIXES",
    "ExportReport",
    "Skinned",
    "export",
    "export_gaussians",
    "export_with_report",
    "preview",
]

SUFFIXES = ("fbx", "glb", "gltf", "usd", "usda", "usdc", "usdz", "abc", "obj", "ply", "vat")
"""Known formats; ``obj``, ``ply`` and ``vat`` are folders."""

SKINNED = ("fbx", "glb", "gltf", "usd", "usda", "usdc", "usdz")
"""Formats that can hold a skeleton."""

_COMMON_CAP = 64
"""Engines stop at this many morph targets or fewer (Bevy's limit; docs/export.md lists others)."""


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        path: the file or folder.
        frames, fps: length and rate of the animation.
        morphs: number of morph targets, None for formats that store points.
        bones: number of bones, None without a skeleton.
        max_error, mean_error: what the skeleton or limiting the targets cost, as fractions of the diagonal.
        size: bytes of the file, 0 for folders.
        beside: further files that belong to it.
    """

    path: Path
    frames: int
    fps: float
    morphs: int | None = None
    bones: int | None = None
    max_error: float = 0.0
    mean_error: float = 0.0
    size: int = 0
    beside: tuple[Path, ...] = ()

    def __str__(self) -> str:
        text = f"{self.path}: {self.frames} frames at {self.fps:g} fps"
        if self.bones is not None:
            text += f", {self.bones} bones"
        elif self.morphs is not None:
            text += f", {self.morphs} morph targets"
        if self.max_error > 0:
            text += f" (error: mean {100 * self.mean_error:.3g} %, max {100 * self.max_error:.3g} % of the diagonal)"
        if self.size and self.bones is not None:
            text += f", {self.size / 1e6:.2f} MB"
        if self.morphs is not None and self.morphs > _COMMON_CAP:
            text += f"; some engines stop at {_COMMON_CAP}, limit them with --max-morphs"
        for path in self.beside:
            text += f"; with {path.name} beside it"
        return text


def export(
    mesh: Mesh,
    trajectory: np.ndarray,
    path: str | os.PathLike[str],
    *,
    fps: float = 24.0,
    max_morphs: int | None = None,
    loop: bool = False,
    clip_name: str | None = None,
    resample: float | None = None,
    skeleton: int | str | Skinned | None = None,
    engine: str | None = None,
) -> Path:
    """Write an animated mesh in the format that the suffix names.

    Args:
        mesh: the mesh as it was loaded.
        trajectory: ``[F, N, 3]`` in the coordinates of the mesh's file, frame 0 the pose at rest.
        path: ends in one of `SUFFIXES`. ``.obj``, ``.ply`` and ``.vat`` become folders.
        fps: frames per second; frame k is shown at k / fps seconds.
        max_morphs: largest number of morph targets in FBX and glTF; None for one per frame.
        loop: frame 0 follows the last frame; formats that play by time get a closing key.
        clip_name: name of the animation; None for the mesh's.
        resample: frames per second of the file; in-betweens turn with the surface. None for the trajectory's own.
        skeleton: bones in place of morph targets or points: their number, ``"auto"`` (as few as keep within 0.3 % of
            the diagonal on average and 2 % at most, up to 32), ``"keep"`` (those of the mesh's own file), or one that
            was found before (`animate3d.export.skeleton.find_skeleton`). None for none.
        engine: one of `animate3d.export.engines.ENGINES`, whose conventions are followed; its skeleton is used where
            none is given and ``"off"`` leaves it out.

    Returns:
        ``path``

    Raises:
        InputError: unknown suffix, a trajectory of another mesh, or values that cannot be used.
        MissingDependencyError: FBX or Alembic without Blender, or a skeleton without `py_dem_bones`.
    """
    return export_with_report(
        mesh,
        trajectory,
        path,
        fps=fps,
        max_morphs=max_morphs,
        loop=loop,
        clip_name=clip_name,
        resample=resample,
        skeleton=skeleton,
        engine=engine,
    ).path


def export_with_report(
    mesh: Mesh,
    trajectory: np.ndarray,
    path: str | os.PathLike[str],
    *,
    fps: float = 24.0,
    max_morphs: int | None = None,
    loop: bool = False,
    clip_name: str | None = None,
    resample: float | None = None,
    skeleton: int | str | Skinned | None = None,
    engine: str | None = None,
) -> ExportReport:
    """`export`, with a report of what was written and of what the skeleton or limiting the morph targets cost."""
    path = Path(path)
    suffix = checked_suffix(path)
    wanted = Engine((), loop_mark="-loop", skeleton="off") if engine is None else engine_named(engine)
    clip = checked_clip(mesh, trajectory, fps, loop=loop, clip_name=clip_name)
    clip = replace(clip, loop_mark=wanted.loop_mark)
    if resample is not None:
        clip = resampled(clip, resample)
    if max_morphs is not None and max_morphs < 1:
        raise InputError(f"The number of morph targets is limited to {max_morphs}; at least 1 is needed.")
    is_folder = suffix in ("obj", "ply", "vat")
    if path.exists() and path.is_dir() != is_folder:
        expected, found = ("folder", "file") if is_folder else ("file", "folder")
        raise InputError(f"{path} is a {found}; the {suffix} export writes a {expected} of that name.")
    if skeleton not in (None, "off") and suffix not in SKINNED:
        raise InputError(f"{suffix} files hold no skeleton; {', '.join(SKINNED)} do.")
    skinned = None
    if suffix in SKINNED:
        skinned = skeleton_for(clip.mesh, clip.positions, wanted.skeleton if skeleton is None else skeleton)
    return _written(
        clip, path, suffix, skinned, wanted if max_morphs is None else replace(wanted, max_morphs=max_morphs)
    )


def _written(clip: Clip, path: Path, suffix: str, skinned: Skinned | None, engine: Engine) -> ExportReport:
    morphs: MorphTargets | None = None
    beside: tuple[Path, ...] = ()
    rig = None if skinned is None else skinned.rig
    if suffix in ("glb", "gltf"):
        from animate3d.export.gltf import write_gltf

        morphs = write_gltf(clip, path, engine.max_morphs, rig)
    elif suffix == "fbx":
        from animate3d.export.fbx import write_fbx

        morphs = write_fbx(clip, path, engine.max_morphs, rig, engine.unit)
    elif suffix == "abc":
        from animate3d.export.alembic import write_alembic

        beside = (write_alembic(clip, path),)
    elif suffix == "obj":
        from animate3d.export.obj_sequence import write_obj_sequence

        write_obj_sequence(clip, path)
    elif suffix == "ply":
        _write_gaussians(clip, path)
    elif suffix == "vat":
        from animate3d.export.vertex_textures import write_vertex_textures

        write_vertex_textures(clip, path)
    else:
        from animate3d.export.usd import write_usd

        write_usd(clip, path, rig)
    for what in left_out(clip.mesh, suffix):
        warnings.warn(f"{path}: {what}.", stacklevel=4)
    report = ExportReport(
        path, clip.n_frames, clip.fps, beside=beside, size=path.stat().st_size if path.is_file() else 0
    )
    if skinned is not None:
        return replace(report, bones=len(skinned.rig), max_error=skinned.max_error, mean_error=skinned.mean_error)
    if morphs is None:
        return report
    return replace(report, morphs=len(morphs), max_error=morphs.max_error, mean_error=morphs.mean_error)


def checked_suffix(path: Path) -> str:
    """The format of a path, one of `SUFFIXES`.

    Raises:
        InputError: none of them.
    """
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in SUFFIXES:
        known = ", ".join(f".{name}" for name in SUFFIXES)
        raise InputError(f"{path} has no suffix of a known format; known are {known}.")
    return suffix


def _write_gaussians(clip: Clip, path: Path) -> None:
    """The mesh's vertices as Gaussians, moved with them."""
    means = torch.from_numpy(clip.positions).float()
    export_gaussians(
        from_mesh(clip.mesh), path, means=means, fps=clip.fps, up_axis=clip.mesh.up_axis, origin=clip.mesh.origin
    )
