"""Animated files rendered in MV-Video's layout, so that they can be trained on beside it.

Coordinates are the project's: z up, the front of the object at azimuth 0. View k of 16 looks from azimuth
``azi_start + 22.5 k`` at the centre of the first frame's bounding box; all views are `DISTANCE` away with a field of
view of `FOVY_DEG`, and the object is scaled so that it just stays in view.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.cameras import Cameras, orbit_cameras
from animate3d.errors import InputError
from animate3d.files import atomic_directory, read_json, write_json
from animate3d.frames import GREY, save_mp4
from animate3d.meshes import Mesh
from animate3d.mvvdm.data.blender_scene import open_animation
from animate3d.mvvdm.data.records import N_VIEWS, UID_INFO
from animate3d.rasterize.textured import render_mesh

_FRAMES, _FPS = 48, 24
DISTANCE, FOVY_DEG = 3.0, 40.0
MAX_START_DEG = 11.25
MAX_ELEVATION_DEG = 30.0
FILL = 0.92
"""Share of the half image that the object reaches at most, in any view and frame."""


@dataclass(frozen=True)
class Framing:
    """Where the object stands: ``placed = scale * R @ (x - center)``, R turns the front from -y to azimuth 0 (+x)."""

    center: np.ndarray
    scale: float

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Blender's coordinates ``[..., 3]`` to the cameras' world."""
        centred = self.scale * (points - self.center)
        return np.stack([-centred[..., 1], centred[..., 0], centred[..., 2]], axis=-1)


def segments(seconds: float) -> list[float]:
    """Start times of the two-second clips of an animation: the first, and from four seconds also the last."""
    length = _FRAMES / _FPS
    return [0.0] if seconds <= 2 * length else [0.0, seconds - length]


def draw_angles(name: str, seed: int) -> tuple[float, float]:
    """Elevation in 0 to 30 and start azimuth within ±11.25, degrees; another for every clip of the same seed."""
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    elevation = float(generator.uniform(0.0, MAX_ELEVATION_DEG))
    return elevation, float(generator.uniform(-MAX_START_DEG, MAX_START_DEG))


def azimuths(azi_start: float) -> list[float]:
    """The directions of the views, degrees."""
    return [azi_start + 360.0 / N_VIEWS * view for view in range(N_VIEWS)]


def frame_object(positions: np.ndarray, elevation: float, azi_start: float) -> Framing:
    """Centre of the first frame's box of positions ``[F, N, 3]`` to the origin, as large as all views and frames allow.

    A point that is x off the axis and b towards the camera is seen at x / (d - b) from the distance d; it stays
    within the limit m if d is at least x / m + b.

    Raises:
        InputError: all vertices are one point, or not numbers.
    """
    center = (positions[0].min(axis=0) + positions[0].max(axis=0)) / 2
    placed = Framing(center, 1.0).apply(positions).reshape(-1, 3)
    cameras = _cameras(elevation, azi_start, 1)
    limit = FILL * np.tan(np.deg2rad(FOVY_DEG) / 2)
    distance = 0.0
    for rotation in cameras.c2w[:, :3, :3].double().numpy():
        local = placed @ rotation
        distance = max(distance, float((np.abs(local[:, :2]).max(axis=1) / limit + local[:, 2]).max()))
    if not 0 < distance < np.inf:
        raise InputError("The object has no extent, or positions that are not numbers.")
    return Framing(center, DISTANCE / distance)


def _cameras(elevation: float, azi_start: float, size: int) -> Cameras:
    return orbit_cameras(elevation, azimuths(azi_start), distance=DISTANCE, fovy_deg=FOVY_DEG, size=size)


def render_clip(
    mesh: Mesh,
    positions: np.ndarray,
    folder: Path,
    *,
    elevation: float,
    azi_start: float,
    size: int,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Framing:
    """Write ``view_0.mp4`` … ``view_15.mp4`` of positions ``[F, N, 3]`` in Blender's coordinates; ``size`` is even.

    The folder appears when all are there.
    """
    framing = frame_object(positions, elevation, azi_start)
    placed = framing.apply(positions)
    cameras = _cameras(elevation, azi_start, size)
    with atomic_directory(folder) as temporary:
        for view in progress(range(N_VIEWS)):
            rgba = render_mesh(mesh, placed, cameras[view : view + 1], background=(GREY,) * 3)[0].astype(np.float32)
            alpha = rgba[..., 3:] / 255
            frames = np.round(rgba[..., :3] * alpha + 255 * GREY * (1 - alpha)).astype(np.uint8)
            save_mp4(temporary / f"view_{view}.mp4", frames, _FPS)
    return framing


def render_file(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    uid: str,
    prompt: str,
    licence: str = "",
    url: str = "",
    seed: int = 0,
    size: int = 512,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, dict[str, Any]]:
    """Render an animated GLB or FBX to ``<out>/videos/<uid>/<anim>/``.

    Animations shorter than two seconds are repeated; of those longer than four, the first and the last two seconds
    become a clip each.

    Returns:
        The entries of the clips, for `describe`.

    Raises:
        InputError: the file cannot be used.
    """
    if Path(uid).name != uid or uid.startswith("."):
        raise InputError(f"The object's id is used as a folder's name, {uid!r} is none.")
    if size < 16 or size % 2:
        raise InputError(f"The size is {size}; it must be even and at least 16.")
    animation = open_animation(Path(path))
    entries: dict[str, dict[str, Any]] = {}
    for number, start in enumerate(segments(animation.seconds)):
        times = [(start + k / _FPS) % _period(animation.seconds) for k in range(_FRAMES)]
        mesh, positions = animation.evaluate(times)
        name = f"{number:02d}"
        elevation, azi_start = draw_angles(f"{uid}/{name}", seed)
        folder = Path(out) / "videos" / uid / name
        framing = render_clip(
            mesh, positions, folder, elevation=elevation, azi_start=azi_start, size=size, progress=progress
        )
        entries[name] = {
            "prompt": prompt,
            "elv": elevation,
            "azi_start": azi_start,
            "anim": name,
            "url": url,
            "license": licence,
            "camera": {"distance": DISTANCE, "fovy_deg": FOVY_DEG},
            "object": {"center": framing.center.tolist(), "scale": framing.scale},
        }
    return entries


def _period(seconds: float) -> float:
    """Shorter animations start again; a clip that just fits is not wrapped at its last frame."""
    return seconds if seconds < (_FRAMES - 1) / _FPS - 1e-6 else np.inf


def describe(out: Path, objects: Mapping[str, Mapping[str, dict[str, Any]]]) -> None:
    """Replace the entries of objects, by id what `render_file` returned, in ``uid_info_dict.json``.

    Several commands may write at the same time.
    """
    path = out / UID_INFO
    out.mkdir(parents=True, exist_ok=True)
    with (out / f".{UID_INFO}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        infos = read_json(path) if path.is_file() else {}
        if not isinstance(infos, dict):
            raise InputError(f"{path} must map object ids to entries.")
        infos |= {uid: list(entries.values()) for uid, entries in objects.items()}
        write_json(path, dict(sorted(infos.items())))
