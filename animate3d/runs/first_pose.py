"""The pose in which a clip begins: the model at rest, moved as a whole and bent to what frame 0 shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.meshes import Mesh
from animate3d.motion.objects import template_of
from animate3d.motion.template import Surface
from animate3d.motion.tracking import TrackSettings, track
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.overlay import overlap

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Known = NDArray[np.bool_] | None

_BETTER = 0.01  # overlap that bending the model to frame 0 has to gain over moving it as a whole


class Posed(NamedTuple):
    """The model as frame 0 shows it.

    Attributes:
        vertices: ``[N, 3]``
        rotations: ``[N, 3, 3]`` of each vertex's surroundings.
        overlaps: silhouette IoU in every view.
        bent: whether bending gained enough to be kept.
    """

    vertices: Array
    rotations: NDArray[np.floating]
    overlaps: list[float]
    bent: bool


class Look(NamedTuple):
    """The model as the clip would show it.

    Attributes:
        frame: it at rest ``[V, H, W, 4]`` RGBA 0..1.
        gain: what its bare colours are multiplied with ``[3]``.
    """

    frame: Image
    gain: Array


def matched_look(mesh: Mesh, placed: Array, first: Image, cameras: Cameras) -> Look:
    """The placed model in the clip's light and colours: lit or bare, with the gain of each channel that fits frame 0.

    Args:
        placed: ``[N, 3]``
        first: ``[V, H, W, 4]`` frame 0.
    """
    looks, errors = [], []
    for shading in (False, True):
        drawn = render_mesh(mesh, placed[None], cameras, shading=shading)[:, 0].astype(np.float32) / 255
        both = (drawn[..., 3] > 0.9) & (first[..., 3] > 0.9)
        shown, wanted = drawn[both][:, :3].astype(np.float64), first[both][:, :3].astype(np.float64)
        gain = np.ones(3)
        if len(shown):
            gain = ((shown * wanted).sum(axis=0) / np.maximum((shown**2).sum(axis=0), 1e-6)).clip(0.4, 2.5)
        drawn[..., :3] = (drawn[..., :3] * gain).clip(0, 1)
        looks.append(Look(drawn.astype(np.float32), gain))
        errors.append(float(np.abs(shown * gain - wanted).mean()) if len(shown) else 0.0)
    return Look(looks[int(np.argmin(errors))].frame, looks[0].gain)


def find_first_pose(
    mesh: Mesh,
    surface: Surface,
    rest: Image,
    first: Image,
    cameras: Cameras,
    settings: TrackSettings,
    known: Known = None,
) -> Posed:
    """Bend the model to frame 0; it stays as it is where that fits as well.

    Args:
        surface: moved as a whole to where frame 0 shows it.
        rest: it in the clip's colours ``[V, H, W, 4]``.
        first: frame 0.
        known: ``[V, H, W]`` where it shows anything.
    """
    # Frame 0 twice: the pose may be far, and every frame has a few rounds only.
    towards = np.stack([rest, first, first], axis=1)
    posed = track(template_of(surface), towards, cameras, replace(settings, velocity=(0.0,)), known=known)
    stills, bends = (outline_overlaps(mesh, x, first, cameras, known) for x in (surface.vertices, posed.positions[-1]))
    if min(bends) > min(stills) + _BETTER:
        return Posed(posed.positions[-1], posed.rotations[-1], bends, True)
    return Posed(surface.vertices, posed.rotations[0], stills, False)


def outline_overlaps(
    mesh: Mesh, posed: NDArray[Any], first: Image, cameras: Cameras, known: Known = None
) -> list[float]:
    """How far the outlines of frame 0 and the model overlap in every view."""
    drawn = render_mesh(mesh, posed[None], cameras, shading=False)[:, 0]
    drawn = drawn if known is None else drawn * known[..., None]
    return [overlap((a * 255).astype(np.uint8), b) for a, b in zip(first, drawn, strict=True)]
