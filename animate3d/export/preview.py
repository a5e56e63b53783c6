"""What the animation looks like: the textured mesh from the reconstruction's cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from animate3d.cameras import Cameras, reconstruction_cameras
from animate3d.frames import contact_sheet, mp4_writer, save_gif, save_image, side_by_side
from animate3d.meshes.mesh import Mesh
from animate3d.progress import counted
from animate3d.rasterize.textured import render_mesh

_COLUMNS = 8
_GIF_HEIGHT = 128
_GIF_FRAMES = 120  # of a longer motion, every other one or fewer
_AT_ONCE = 16  # frames: memory does not grow with the length of a motion


def preview(
    mesh: Mesh, positions: np.ndarray, out_dir: str | Path, cameras: Cameras | None = None, *, fps: float = 24.0
) -> list[Path]:
    """Render the moving mesh.

    Args:
        mesh: gives faces and materials.
        positions: ``[F, N, 3]`` in the placed frame, where the cameras are.
        out_dir: folder for ``preview.mp4`` (views side by side), ``preview.gif`` (the same, small) and
            ``preview.png`` (a row per view, up to 8 frames from the first to the last, see `telling_frames`).
        cameras: ``[V]``; the four reconstruction cameras at 256² by default.
        fps: of the videos.

    Returns:
        The files written.
    """
    cameras = reconstruction_cameras(views=4, size=256) if cameras is None else cameras
    count = len(positions)
    chosen = telling_frames(positions, _COLUMNS)
    step, skip = max(1, cameras.height // _GIF_HEIGHT), -(-count // _GIF_FRAMES)
    # Made first: small pictures between large ones would keep the memory of these from being used again.
    views, height, width = len(cameras.c2w), cameras.height, cameras.width
    sheet = np.empty((views, len(chosen), height, width, 3), np.uint8)
    small = np.empty((-(-count // skip), height // step, views * width // step, 3), np.uint8)
    out = Path(out_dir)
    with mp4_writer(out / "preview.mp4", fps) as write, counted(count, "preview", "frame") as tell:
        for start in range(0, count, _AT_ONCE):
            frames = _drawn(mesh, positions[start : start + _AT_ONCE], cameras)
            for f, strip in enumerate(side_by_side(frames), start):
                write(strip)
                if f % skip == 0:
                    small[f // skip] = _reduced(strip[None], step)[0]
            for n in np.flatnonzero((chosen >= start) & (chosen < start + _AT_ONCE)):
                sheet[:, n] = frames[:, chosen[n] - start]
            tell(start + frames.shape[1])
    save_gif(out / "preview.gif", small, fps / skip)
    save_image(out / "preview.png", contact_sheet(sheet))
    return [out / f"preview.{suffix}" for suffix in ("mp4", "gif", "png")]


def telling_frames(positions: np.ndarray, columns: int) -> np.ndarray:
    """Numbers of frames that tell most of a motion ``[F, N, 3]``: the first, the last and some about evenly between.

    Frames that are exactly even show some hops at the same height each time, and so none. So each is, of those nearest
    to its even place, the one that differs most from the one before.
    """
    count = len(positions)
    if count <= columns:
        return np.arange(count)
    step, chosen = (count - 1) / (columns - 1), [0]
    for column in range(1, columns - 1):
        first, end = (int(np.floor((column + half) * step)) + 1 for half in (-0.5, 0.5))
        before = positions[chosen[-1]]
        apart = [float(np.square(positions[frame] - before).sum()) for frame in range(first, end)]
        chosen.append(first + int(np.argmax(apart)))
    return np.array([*chosen, count - 1])


def _drawn(mesh: Mesh, positions: np.ndarray, cameras: Cameras) -> np.ndarray:
    """On grey. ``[V, F, H, W, 3]``"""
    rgba = render_mesh(mesh, positions, cameras).astype(np.float32)
    alpha = rgba[..., 3:] / 255
    return np.round(rgba[..., :3] * alpha + 127.5 * (1 - alpha)).astype(np.uint8)


def _reduced(frames: np.ndarray, step: int) -> np.ndarray:
    """Mean of blocks of ``step`` x ``step`` pixels of ``[F, H, W, 3]``."""
    count, height, width, channels = frames.shape
    height, width = height - height % step, width - width % step
    blocks = frames[:, :height, :width].reshape(count, height // step, step, width // step, step, channels)
    return blocks.mean(axis=(2, 4)).round().astype(np.uint8)
