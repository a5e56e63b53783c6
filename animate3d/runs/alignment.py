"""Does frame 0 of the videos show the placed model? And if not, which placement would."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.export.gaussian_motion import draw_still
from animate3d.frames import composite, contact_sheet, save_image
from animate3d.gaussians import Gaussians
from animate3d.gaussians.placement import core
from animate3d.meshes import Mesh, Placement
from animate3d.meshes.scene import Scene
from animate3d.rasterize.visibility import visible_triangles

MIN_ALIGNMENT = 0.8
"""Silhouette IoU of frame 0 with the placed model, below which nothing good can come."""

OTHER_COLORS = 0.3
"""Difference of colours from which frame 0 is said to show something else; light gives 0.09, the small model 0.16."""

_COARSE, _FINE = (48, 3), (128, 5)  # pixels and rounds of the two passes of a search
_FINALISTS = 3
_SAFE = 0.03  # the search sees small pictures: what it promises has to hold at full size


@dataclass(frozen=True)
class Advice:
    """What would make frame 0 and the model match.

    Attributes:
        text: one sentence; with a placement it ends where the file's name has to follow.
        placement: to be saved for ``--placement``, when the documented flags cannot say it.
    """

    text: str
    placement: Placement | None = None


def color_difference(first: Tensor, model: Tensor) -> float:
    """How far the colours of frame 0 are from the model's, where both are: 0 if they differ in brightness alone.

    Args:
        first, model: ``[V, H, W, 4]`` in 0..1.

    Returns:
        RMS difference as a share of the model's RMS colour, after the views' common gain, which is within 0.4 to 2.5.
    """
    inside = (first[..., 3] > 0.95) & (model[..., 3] > 0.95)
    seen, wanted = first[..., :3][inside], model[..., :3][inside]
    size = wanted.square().mean()
    if not len(seen) or size == 0:
        return 0.0
    gain = ((seen * wanted).mean() / seen.square().mean().clamp_min(1e-9)).clamp(0.4, 2.5)
    return float(((gain * seen - wanted).square().mean() / size).sqrt())


def color_warning(first: Tensor, model: Tensor, overlap: list[float], picture: Path, called: str) -> str | None:
    """What to say, with a picture, if frame 0 has the model's outline, but other colours: tracking goes by both.

    Args:
        first, model, overlap, picture: see `save_comparison`.
        called: the model.
    """
    apart = color_difference(first, model)
    if apart < OTHER_COLORS:
        picture.unlink(missing_ok=True)
        return None
    text = (
        f"frame 0 has the outline of the {called}, but other colours (they differ by {100 * apart:.0f} %): is it "
        "another object, or did a texture not load?"
    )
    save_comparison(first, model, overlap, text, picture)
    return f"warning: {text} See {picture}."


def save_comparison(first: Tensor, model: Tensor, overlap: list[float], caption: str, path: Path) -> Path:
    """A picture of both, one column a view: frame 0 above, the placed model in the middle, both outlines below.

    Args:
        first, model: ``[V, H, W, 4]`` RGBA, 0..1, sizes may differ.
        caption: what would help; stands below.
    """
    size = (256, 256)
    rows: list[list[np.ndarray]] = [[], [], []]
    for frame, view, iou in zip(first, model, overlap, strict=True):
        pair = [cv2.resize(image.numpy(), size, interpolation=cv2.INTER_AREA) for image in (frame, view)]
        for row, image in zip(rows, pair, strict=False):
            row.append((composite(torch.from_numpy(image), 0.5).numpy() * 255).astype(np.uint8))
        overlay = np.full((*size, 3), 128, np.uint8)
        for image, colour in zip(pair, ((255, 140, 0), (0, 120, 255)), strict=True):
            mask = (image[..., 3] > 0.5).astype(np.uint8)
            contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
            cv2.drawContours(overlay, contours, -1, colour, 2)
        cv2.putText(overlay, f"IoU {iou:.2f}", (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
        rows[2].append(overlay)
    sheet = contact_sheet(np.stack([np.stack(row) for row in rows]))
    save_image(path, np.concatenate([sheet, _caption(caption, sheet.shape[1])]))
    return path


def _caption(text: str, width: int) -> np.ndarray:
    """White text on black ``[H, W, 3]``."""
    lines = textwrap.wrap(text.replace("°", " degrees"), width // 8)
    strip = np.zeros((20 * len(lines) + 12, width, 3), np.uint8)
    for row, line in enumerate(lines):
        at = (8, 20 * (row + 1))
        cv2.putText(strip, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return strip


def suggest(model: Mesh | Gaussians, placement: Placement, masks: Tensor, cameras: Cameras) -> Advice:
    """The placement under which the model fits frame 0 best.

    All quarter turns are tried; the scale and the translation follow from the silhouettes. The documented flags are
    preferred; a placement is handed out where they cannot say it (other turns, a model off the origin of its file).

    Args:
        placement: the one that does not fit.
        masks: ``[V, H, W]`` alpha of frame 0.
        cameras: ``[V]``, of the masks.
    """
    small = for_small_frames(model, cameras.height)
    called = "mesh" if isinstance(model, Mesh) else "Gaussian model"
    shape = _shape_of(model)
    coarse, fine = (_Search(shape, masks, cameras.resized(size)) for size, _ in (_COARSE, _FINE))
    found = [coarse.refine(turn, _COARSE[1], shift=True) for turn in _quarter_turns()]
    finalists = sorted(found, key=lambda pair: pair[0], reverse=True)[:_FINALISTS]
    needed = max(fine.score(placement) + 0.05, MIN_ALIGNMENT + _SAFE)
    free = [fine.refine(guess.rotation, _FINE[1], shift=True) for _, guess in finalists]
    score, best = max(free, key=lambda pair: pair[0])
    if score < needed:
        return Advice(
            f"{small}No quarter turn, scale or move of the {called} fits: check that the frames show this "
            f"{called}, seen from evenly spaced azimuths (from --azimuth on, usually 0°) at elevation 15°, in "
            f"the order of the views.{for_scenes(model)}"
        )
    flags = _flags(best.rotation)
    if flags is not None:
        flagged, centred = fine.refine(best.rotation, _FINE[1], shift=False)
        if flagged >= needed:
            x, z = flags
            return Advice(
                f"{small}Try: --rot-x-degree {x:g} --rot-z-degree {z:g} --scale-factor {centred.scale:.3g} "
                f"(silhouettes then overlap by about {flagged:.2f})."
            )
    return Advice(f"{small}Turned, scaled and moved it would overlap by about {score:.2f}; try:", best)


def for_small_frames(model: Mesh | Gaussians, height: int) -> str:
    """What else may be wrong where frames are small, a sentence before another one; else empty.

    Args:
        height: of the frames, pixels.
    """
    if isinstance(model, Mesh) or height >= _FINE[0]:
        return ""
    least = _FINE[0]
    return f"In frames {height} pixels high Gaussians look larger than they are: make them {least} or more. "


def for_scenes(model: Mesh | Gaussians) -> str:
    """What else may be wrong where there are several objects, a sentence after another one; else empty."""
    said = " Several objects have to stand where they do in the videos: a scene file says where (docs/scenes.md)."
    return said if isinstance(model, Scene) else ""


def _quarter_turns() -> list[np.ndarray]:
    """The 24 rotations that keep the axes."""
    turns = (_flag_rotation(x, z) @ _flag_rotation(0, first) for x, z, first in product((0, 90, 180, 270), repeat=3))
    return list({tuple(turn.ravel()): turn for turn in turns}.values())


def _flags(rotation: np.ndarray) -> tuple[int, int] | None:
    """The documented flags of a quarter turn, if they can say it."""
    for x, z in product((0, 90, 180, 270), repeat=2):
        if np.allclose(_flag_rotation(x, z), rotation):
            return x, z
    return None


def _flag_rotation(x: float, z: float) -> np.ndarray:
    return Placement.from_flags(x, z).rotation + 0.0  # no negative zeros


_Shape = tuple[np.ndarray, Callable[..., np.ndarray]]
"""Points ``[N, 3]`` of what is placed, and what draws its silhouettes ``[V, S, S]`` bool by a placement and cameras."""


def _shape_of(model: Mesh | Gaussians) -> _Shape:
    if isinstance(model, Mesh):
        used, corners = np.unique(model.triangles()[0], return_inverse=True)
        points, triangles = model.vertices[used], corners.reshape(-1, 3)
        return points, lambda by, cameras: visible_triangles(by.apply(points), triangles, cameras)[0] >= 0
    plain = replace(model, sh=model.sh[:, :1])  # colours do not matter
    return core(model), lambda by, cameras: (draw_still(plain.transformed(by), cameras)[..., 3] > 0.5).numpy()


class _Search:
    """Fits placements to the silhouettes of frame 0, in pictures of the cameras' size."""

    def __init__(self, shape: _Shape, masks: Tensor, cameras: Cameras) -> None:
        self._points, silhouettes = shape
        self._draw = partial(silhouettes, cameras=cameras)
        size = cameras.height
        small = torch.nn.functional.interpolate(masks[:, None], size=(size, size), mode="area")[:, 0]
        self._target = small.numpy() > 0.5
        # World units per pixel at the distance of the origin, and where right and down point in every view.
        c2w = cameras.c2w.double().numpy()
        self._pixel = float(np.linalg.norm(c2w[0, :3, 3])) / float(cameras.focal[0])
        self._axes = np.concatenate([c2w[:, :3, 0], -c2w[:, :3, 1]])  # [2V, 3]

    def score(self, placement: Placement) -> float:
        """IoU of the worst view."""
        return self._overlap(self._draw(placement))

    def refine(self, rotation: np.ndarray, rounds: int, *, shift: bool) -> tuple[float, Placement]:
        """The scale, and with ``shift`` the translation, that bring areas and centres of the silhouettes together.

        Returns:
            the best score and its placement.
        """
        turned = self._points @ rotation.T
        low, high = turned.min(axis=0), turned.max(axis=0)
        centre = (low + high) / 2 if shift else np.zeros(3)
        scale = 0.7 / np.abs(turned - centre).max().item()
        placement = Placement(rotation, scale, -scale * centre)
        best = (-1.0, placement)
        for _ in range(rounds):
            drawn = self._draw(placement)
            best = max(best, (self._overlap(drawn), placement), key=lambda pair: pair[0])
            if not drawn.any() or not self._target.any():
                break
            grow = float(np.clip(np.sqrt(self._target.sum() / drawn.sum()), 0.5, 2.0))
            translation = placement.translation * grow
            if shift:
                offset = (_centres(self._target) - grow * _centres(drawn)).T.ravel() * self._pixel
                seen = np.isfinite(offset)
                translation = translation + np.linalg.lstsq(self._axes[seen], offset[seen], rcond=None)[0]
            placement = Placement(rotation, placement.scale * grow, translation)
        return best

    def _overlap(self, drawn: np.ndarray) -> float:
        inside, covered = (drawn & self._target).sum(axis=(1, 2)), (drawn | self._target).sum(axis=(1, 2))
        return float((inside / np.maximum(covered, 1)).min())


def _centres(masks: np.ndarray) -> np.ndarray:
    """Mean pixel (x, y) of every mask, from the picture's centre ``[V, 2]``; NaN where one is empty."""
    ticks = np.arange(masks.shape[-1]) - (masks.shape[-1] - 1) / 2
    area = masks.sum(axis=(1, 2))[:, None]
    moments = np.stack([(masks.sum(axis=1) * ticks).sum(axis=1), (masks.sum(axis=2) * ticks).sum(axis=1)], axis=1)
    return np.divide(moments, area, out=np.full_like(moments, np.nan), where=area > 0)
