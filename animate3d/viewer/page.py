"""The page of a moving model: one file that plays offline, small enough to be sent by mail."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from animate3d.files import atomic_file
from animate3d.frames import contact_sheet
from animate3d.viewer.mesh_data import image_uri, look_and_positions, mesh_block, reduced, textures
from animate3d.viewer.moving import MovingGaussians, MovingMesh, Show
from animate3d.viewer.splat_data import fewer, splat_block

BUDGET = 5_000_000
"""Bytes of a page at most."""
FEWEST_FRAMES = 12
"""A motion that is too large keeps so many frames before its model is made coarser."""
MOST_SPLATS = 60_000
"""More cannot be sorted for every picture on a phone."""

_PARTS = ("player.css", "mesh.js", "splats.js", "player.js")
_TEXTURES, _VIDEOS = 1_500_000, 700_000  # bytes of them at most
_TILES = (128, 96, 64, 48)  # pixels of the videos
_MOST_TILES = 4096
_SLACK = 8_000  # bytes of the header
_COARSEST = 64  # vertices or Gaussians


def write_page(path: str | os.PathLike[str], show: Show, budget: int = BUDGET) -> list[str]:
    """Write the page of a moving model.

    Args:
        path: an ``.html`` file.
        show: the model and what is told about it.
        budget: bytes of the file at most; what is too large is shown with fewer frames, then with fewer vertices or
            Gaussians, and with smaller textures and videos.

    Returns:
        A sentence for everything that was reduced; the page says it too.
    """
    notes: list[str] = []
    videos = _video_sheet(show.videos, notes)
    room = budget - _SLACK - sum(len(_part(name)) for name in ("player.html", *_PARTS)) - len(json.dumps(videos))
    about, content = _moving(show.moving, room, notes)
    about |= {"title": show.title, "facts": list(show.facts.items()), "notes": notes, "videos": videos}
    with atomic_file(path) as temporary:
        temporary.write_text(_document(show.title, about, content), encoding="utf-8")
    return notes


def _moving(moving: MovingMesh | MovingGaussians, room: int, notes: list[str]) -> tuple[dict[str, Any], bytes]:
    """Header and block of the model, which together take ``room`` bytes at most in the page."""
    mesh = isinstance(moving, MovingMesh)
    data = _MeshData(moving, room, notes) if mesh else _SplatData(moving, notes)  # type: ignore[arg-type]
    frames, count, shown, vertices = moving.frames, data.count, moving.frames, data.count
    header, content = data.block(frames, count)
    most = (room - data.images_size) * 3 // 4
    while most < len(content) and vertices > _COARSEST:
        share = 0.95 * most / len(content)
        if shown > FEWEST_FRAMES:
            shown = max(FEWEST_FRAMES, int(shown * share))
        else:
            vertices = max(_COARSEST, int(vertices * share))
        header, content = data.block(shown, vertices)
    if shown < frames:
        notes.append(f"{shown} of {frames} frames are stored; those between are interpolated.")
    if vertices < count:
        notes.append(f"About {vertices:,} of {count:,} {'vertices' if mesh else 'Gaussians'} are shown.")
    spans = (frames, shown) if moving.closing else (max(frames - 1, 1), max(shown - 1, 1))
    header |= {"images": data.images, "frames": frames, "fps": moving.fps, "closing": moving.closing}
    return header | {"stored": shown, "spacing": spans[0] / spans[1]}, content


class _MeshData:
    """A moving mesh in any number of frames and vertices."""

    def __init__(self, moving: MovingMesh, room: int, notes: list[str]) -> None:
        self._moving = moving
        self._look, self._positions = look_and_positions(moving.mesh, moving.positions)
        self.count = self._positions.shape[1]
        largest = max([max(m.textures["diffuse"].shape[:2]) for m in moving.mesh.materials if "diffuse" in m.textures]
                      or [0])  # fmt: skip
        side = 1024
        self.images = textures(moving.mesh, self._look, side)
        while self.images_size > min(_TEXTURES, room // 2) and side > 16:
            side //= 2
            self.images = textures(moving.mesh, self._look, side)
        if self.images and largest > side:
            notes.append(f"Textures are {side} pixels wide, {largest} in the files.")

    @property
    def images_size(self) -> int:
        return sum(len(uri) for uri in self.images.values())

    def block(self, frames: int, vertices: int) -> tuple[dict[str, Any], bytes]:
        positions = _resampled(self._positions, frames, self._moving.closing)
        look = self._look
        if vertices < self.count:
            look, positions = reduced(look, positions, vertices)
        return mesh_block(self._moving.mesh, look, positions)


class _SplatData:
    """Moving Gaussians in any number and frames."""

    images_size = 0

    def __init__(self, moving: MovingGaussians, notes: list[str]) -> None:
        self.count, self._closing = len(moving.motion.model), moving.closing
        self.images: dict[int, str] = {}
        few = fewer(moving.motion, MOST_SPLATS)
        # Asked for once: the poses of a million Gaussians take seconds a frame.
        self._motion = replace(few, pose=[few.pose(frame) for frame in range(few.frames)].__getitem__)
        if moving.motion.model.sh_degree:
            notes.append("Colours do not change with the direction of view here.")

    def block(self, frames: int, count: int) -> tuple[dict[str, Any], bytes]:
        motion = few = fewer(self._motion, count)
        if frames < few.frames:
            nearest = np.round(_where(few.frames, frames, self._closing)).astype(int).tolist()
            motion = replace(few, frames=frames, pose=lambda frame: few.pose(nearest[frame]))
        return splat_block(motion)


def _where(frames: int, count: int, closing: bool) -> np.ndarray:
    """Times of ``count`` frames evenly spread over so many, in frames."""
    return np.arange(count) * frames / count if closing else np.linspace(0, frames - 1, count)


def _resampled(positions: np.ndarray, count: int, closing: bool) -> np.ndarray:
    """Positions ``[F, N, 3]`` at ``count`` times evenly spread over the motion, linear between frames."""
    frames = len(positions)
    if count >= frames:
        return positions
    at = _where(frames, count, closing)
    low = at.astype(int)
    share = (at - low)[:, None, None].astype(positions.dtype)
    after = (low + 1) % frames if closing else np.minimum(low + 1, frames - 1)
    return np.asarray(positions[low] * (1 - share) + positions[after] * share)


def _video_sheet(videos: np.ndarray | None, notes: list[str]) -> dict[str, Any] | None:
    """The frames of all videos as tiles of one picture, frame by frame and in it view by view."""
    if videos is None:
        return None
    views, frames, height, width = videos.shape[:4]
    shown = min(frames, max(1, _MOST_TILES // views // 4))
    chosen = videos[:, np.round(np.linspace(0, frames - 1, shown)).astype(int)]
    for side in _TILES:
        across = min(side, width)
        down = max(1, round(height * across / width))
        columns = views * max(1, min(shown, 2048 // (across * views)))
        tiles = _scaled(chosen, across, down).transpose(1, 0, 2, 3, 4).reshape(-1, down, across, 3)
        rows = -(-len(tiles) // columns)
        tiles = np.concatenate([tiles, np.zeros((rows * columns - len(tiles), down, across, 3), np.uint8)])
        uri = image_uri(contact_sheet(tiles.reshape(rows, columns, down, across, 3)), quality=80)
        if len(uri) <= _VIDEOS and rows * down <= 8192:
            return {"image": uri, "views": views, "frames": shown, "columns": columns, "width": across, "height": down}
    notes.append("The videos are too long to be shown here.")
    return None


def _scaled(images: np.ndarray, width: int, height: int) -> np.ndarray:
    """``[V, F, H, W, 3]`` in another size."""
    if images.shape[2:4] == (height, width):
        return images
    flat = images.reshape(-1, *images.shape[2:])
    small = [np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX)) for image in flat]
    return np.stack(small).reshape(*images.shape[:2], height, width, 3)


def _document(title: str, about: dict[str, Any], content: bytes) -> str:
    """The page as text: nothing in it is loaded from anywhere."""
    style, *scripts = (_part(name) for name in _PARTS)
    values = {
        "TITLE": title.replace("&", "&amp;").replace("<", "&lt;"),
        "STYLE": style,
        "SCRIPT": "\n".join(scripts),
        # The text of a script element ends at the first `</script`, whatever it is part of.
        "ABOUT": json.dumps(about, separators=(",", ":")).replace("<", "\\u003c"),
        "BLOCK": base64.b64encode(content).decode(),
    }
    pieces = _part("player.html").split("%%")
    return "".join(values.get(piece, piece) for piece in pieces)


def _part(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
