"""Videos of the demo dragon in a known motion, and the true vertex positions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from animate3d.cameras import reconstruction_cameras
from animate3d.creatures.dragon.creature import ASSET
from animate3d.creatures.dragon.motions import MOTIONS, VertexMotion, unit_times
from animate3d.errors import InputError
from animate3d.files import atomic_file
from animate3d.frames import save_frames
from animate3d.meshes import Mesh, Placement, load_mesh
from animate3d.rasterize.textured import render_mesh


def demo_asset() -> Path:
    """Folder of the creature that comes with the package (``base.obj``, ``base.mtl``, ``texture_*.png``)."""
    return ASSET


def motion_named(name: str) -> VertexMotion:
    """The dragon's motion of a name in `MOTIONS`.

    Raises:
        InputError: there is none of this name.
    """
    if name not in MOTIONS:
        raise InputError(f"The motion `{name}` is unknown; known are: {', '.join(MOTIONS)}.")
    return MOTIONS[name]


def write_frames(
    mesh: Mesh,
    motion: VertexMotion,
    placement: Placement,
    folder: str | os.PathLike[str],
    *,
    views: int = 4,
    frames: int = 16,
    size: int = 256,
) -> np.ndarray:
    """Render a motion as the reconstruction expects it: ``{v*F+f}.png``, RGBA, grey under the alpha, no shading.

    Colours are the bare texture's, because the static Gaussians that are fitted to the frames have no lighting.
    The truth is saved as ``<folder>_truth.npz`` (positions and times).

    Args:
        mesh: the creature, in its own coordinates.
        placement: puts it in front of the reconstruction cameras.

    Returns:
        the true positions ``[F, N, 3]`` in the mesh's own coordinates.
    """
    times = unit_times(frames)
    truth = motion(mesh.vertices, times)
    cameras = reconstruction_cameras(views, size)
    images = render_mesh(mesh, placement.apply(truth), cameras, supersample=2, shading=False)
    save_frames(folder, images)
    folder = Path(folder)
    with atomic_file(folder.with_name(folder.name + "_truth.npz")) as temporary:
        np.savez_compressed(temporary, positions=truth, times=times)
    return truth


def write_demo_frames(
    name: str, folder: str | os.PathLike[str], *, frames_per_view: int = 16, size: int = 256
) -> np.ndarray:
    """`write_frames` of the bundled creature in a motion of `MOTIONS`, automatically placed. ``[F, N, 3]``"""
    motion = motion_named(name)
    mesh = load_mesh(demo_asset())
    return write_frames(mesh, motion, mesh.automatic_placement(), folder, frames=frames_per_view, size=size)
