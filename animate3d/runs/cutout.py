"""The object of a clip, cut out of its plain background."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import tee

import cv2
import numpy as np
from numpy.typing import NDArray

from animate3d.masks.appearance import fit_background
from animate3d.masks.cut import cut
from animate3d.masks.folder import Segmenter
from animate3d.masks.matting import grow, soft_edges
from animate3d.runs.clip import Bytes, Clip
from animate3d.runs.shot import WrongClip

Mask = NDArray[np.bool_]

_UNIFORM = np.log(256.0**3)  # a colour of an object that nothing is known of
_TRUST = 0.2  # of log odds: neighbouring pixels share compression artefacts
_LIMIT = 5.0
_OUTLINE = 2.0  # cost of the outline per pixel
_LEAST, _LARGEST = 0.002, 0.9  # share of the picture that an object covers
_GONE = 0.03  # of its area in frame 0: an object that covers less is lost
_PATIENCE = 3  # frames for which the last outline stands in
_SPECK = 0.02  # parts smaller than this share of the largest are dropped


def first_alpha(frame: Bytes, name: str) -> NDArray[np.float32]:
    """The object of frame 0 by its plain background ``[H, W]`` 0..1.

    Args:
        frame: ``[H, W, 3]``
        name: of the clip, for messages.

    Raises:
        WrongClip: one colour, or no plain background.
    """
    image = frame.astype(np.float32)
    height, width = image.shape[:2]
    ring = np.ones((height, width), bool)
    edge = max(2, round(0.03 * max(height, width)))
    ring[edge:-edge, edge:-edge] = False
    mask = ~ring
    for outside in (ring, None):
        around = outside if outside is not None else ~grow(mask, max(2, round(max(height, width) / 64)))
        background = fit_background(image, around)
        evidence = (-_UNIFORM - background.log_density(image)) * _TRUST
        weights = np.full((height, width), _OUTLINE, np.float32)
        mask = cut(evidence.clip(-_LIMIT, _LIMIT), weights, (evidence > 0).astype(np.float32)) > 0.5
    mask = _main_parts(mask)
    share = float(mask.mean())
    if share < _LEAST:
        raise WrongClip(
            f"Frame 0 of {name} shows one colour and no object before it; start later with --start, or check the file",
            frame,
        )
    if share > _LARGEST or mask[ring].mean() > 0.5:
        raise WrongClip(
            f"The object in frame 0 of {name} does not stand before a plain background (it would cover "
            f"{100 * share:.0f} % of the picture); use a clip with one colour behind the object, or one with alpha",
            frame,
        )
    return soft_edges(image, mask, background.noise)


def _main_parts(mask: Mask) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return mask
    area = stats[:, cv2.CC_STAT_AREA].astype(float)
    area[0] = 0
    return np.asarray((area >= _SPECK * area.max())[labels] & mask)


def cut_out(clip: Clip, first: NDArray[np.float32], segmenter: Segmenter) -> Iterator[Bytes]:
    """The clip's frames with the object's alpha ``[H, W, 4]``; the clip's own alpha where it has one.

    Args:
        first: the object in frame 0 ``[H, W]`` 0..1.

    Raises:
        WrongClip: the object is in the picture no longer.
    """
    frames, colors = tee(clip.frames())
    alphas = _own_alphas(colors) if clip.has_alpha else segmenter.segment((color[..., :3] for color in colors), first)
    shown = last = first > 0.5
    carried, lost = first, 0
    for f, (frame, alpha) in enumerate(zip(frames, alphas, strict=True)):
        if (alpha > 0.5).sum() < max(_GONE * shown.sum(), 1):
            lost += 1
            if lost == _PATIENCE:
                raise _gone(clip, f - lost + 1, last)
        else:
            lost, last = 0, alpha > 0.5
        if not lost or clip.has_alpha:
            carried = alpha
        yield np.dstack([frame[..., :3], (carried * 255 + 0.5).astype(np.uint8)])


def _own_alphas(frames: Iterator[Bytes]) -> Iterator[NDArray[np.float32]]:
    return (frame[..., 3].astype(np.float32) / 255 for frame in frames)


def _gone(clip: Clip, frame: int, last: Mask) -> WrongClip:
    leaves = last[0].any() or last[-1].any() or last[:, 0].any() or last[:, -1].any()
    what = "leaves the picture" if leaves else "is not to be seen any more"
    second = clip.seconds(frame)
    pair = [image for f, image in enumerate(clip.frames()) if f in (0, frame)]
    return WrongClip(
        f"The object of {clip.path} {what} at {second:.2f} s (frame {frame}): end before by --end {second:.2f}, or use "
        "a clip that keeps it in view",
        *pair,
    )
