"""The still: the picture of a model that a person gives to a video generator, with the camera it was seen by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.arguments import check_out
from animate3d.errors import InputError
from animate3d.frames import composite, save_image
from animate3d.meshes import Mesh, Placement, Turn, given_placement, load_mesh
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.viewpoint import Viewpoint, save_viewpoint

VIEWS = {"front": (0.0, 15.0), "side": (90.0, 10.0), "three-quarter": (40.0, 15.0)}
"""Azimuth and elevation by name."""
BACKGROUNDS = {"grey": (0.5, 0.5, 0.5), "white": (1.0, 1.0, 1.0), "green": (0.0, 0.69, 0.25), "transparent": None}
FRONTS = ("+x", "-x", "+y", "-y", "+z", "-z")
FILL = 0.72
"""Part of the picture, across or along, that the model at rest fills; the rest is room for motion."""
_SUPERSAMPLE = 4


@dataclass(frozen=True)
class StillOptions:
    """What the still shows.

    Attributes:
        model: a mesh file or an object folder.
        out: folder of ``still.png``, ``camera.json`` and ``transforms.json``.
        view: a name in `VIEWS`, or azimuth and elevation in degrees as "30,10".
        size: width and height, as "1280x720".
        background: a name in `BACKGROUNDS`.
        lit: soft light from the camera; otherwise the bare colours.
        field_of_view: vertical, degrees.
        front: axis of the file that the model faces, "+x" to "-z"; None goes by the format's convention.
        placement: how the model stands; None places it automatically.
    """

    model: Path
    out: Path
    view: str = "front"
    size: str = "1280x720"
    background: str = "grey"
    lit: bool = True
    field_of_view: float = 40.0
    front: str | None = None
    placement: Placement | Turn | Path | None = None


def render_still(options: StillOptions) -> Path:
    """Draw the model and write the picture and its camera. Returns the picture.

    Raises:
        InputError: a model or a value that cannot be used.
    """
    if options.background not in BACKGROUNDS:
        raise InputError(f"The background `{options.background}` is unknown; known are: {', '.join(BACKGROUNDS)}.")
    azimuth, elevation = parse_view(options.view)
    size = parse_size(options.size)
    check_out(options.out)
    mesh = load_mesh(options.model)
    placement = given_placement(options.placement, lambda: mesh.vertices) or mesh.automatic_placement()
    azimuth += front_azimuth(options.front, placement)
    viewpoint = fitting_viewpoint(mesh, placement, azimuth, elevation, options.field_of_view, size)
    colour = BACKGROUNDS[options.background]
    rgba = draw_viewpoint(mesh, placement, viewpoint, shading=options.lit)
    if not rgba[..., 3].any():
        raise InputError(
            f"Nothing of {options.model} is in the picture: it is drawn too small; leave --scale-factor out."
        )
    if colour is not None:
        on = composite(torch.from_numpy(rgba).float() / 255, torch.tensor(colour))
        rgba = (on.clamp(0, 1) * 255 + 0.5).byte().numpy()
    target = options.out / "still.png"
    options.out.mkdir(parents=True, exist_ok=True)
    save_image(target, rgba)
    save_viewpoint(viewpoint, options.out / "camera.json", placement)
    return target


def parse_view(view: str) -> tuple[float, float]:
    """Azimuth and elevation in degrees of a name or of "azimuth,elevation"."""
    if view in VIEWS:
        return VIEWS[view]
    try:
        azimuth, elevation = (float(part) for part in view.split(","))
    except ValueError as error:
        raise InputError(
            f"The view `{view}` is unknown; give {', '.join(VIEWS)}, or azimuth and elevation in degrees as 30,10."
        ) from error
    if not math.isfinite(azimuth):
        raise InputError(f"The view `{view}` is none: an azimuth is a finite number of degrees.")
    if not abs(elevation) <= 90:
        raise InputError(f"The view `{view}` is none: an elevation lies between -90 and 90 degrees.")
    return azimuth, elevation


def parse_size(size: str) -> tuple[int, int]:
    """Width and height in pixels of "1280x720"."""
    try:
        width, height = (int(part) for part in size.lower().split("x"))
    except ValueError as error:
        raise InputError(f"The size `{size}` is none; give width and height in pixels, as 1280x720.") from error
    if not 16 <= min(width, height) <= max(width, height) <= 8192:
        raise InputError(f"A picture of {width}x{height} pixels cannot be drawn; a side has 16 to 8192 pixels.")
    return width, height


def front_azimuth(front: str | None, placement: Placement) -> float:
    """The azimuth that sees the front of a placed model, degrees.

    Args:
        front: an axis of the file, or None for the one that the placement turns to azimuth 0.
    """
    if front is None:
        return 0.0
    if front not in FRONTS:
        raise InputError(f"The front `{front}` is unknown; known are: {', '.join(FRONTS)}.")
    axis = np.zeros(3)
    axis["xyz".index(front[1])] = 1.0 if front[0] == "+" else -1.0
    x, y, z = placement.rotation @ axis
    if abs(z) > 0.9:
        raise InputError(f"The front cannot be {front}: that axis of the file points up or down.")
    return math.degrees(math.atan2(y, x))


def fitting_viewpoint(
    mesh: Mesh, placement: Placement, azimuth: float, elevation: float, field_of_view: float, size: tuple[int, int]
) -> Viewpoint:
    """The nearest camera in a direction from which the resting model fills at most `FILL` of the picture."""
    if not 1 <= field_of_view <= 150:
        raise InputError(f"The field of view is {field_of_view:g} degrees; it lies between 1 and 150.")
    probe = Viewpoint(azimuth, elevation, field_of_view=field_of_view, size=size)
    points = np.asarray(placement.apply(mesh.vertices[np.unique(mesh.corners)]))
    local = points @ probe.c2w()[:3, :3]
    half = FILL * math.tan(math.radians(field_of_view) / 2)
    # A point x off the axis and z nearer than the centre is seen within m at distance d where x <= m (d - z).
    across = np.abs(local[:, 0]) / (half * size[0] / size[1])
    along = np.abs(local[:, 1]) / half
    distance = float((np.maximum(across, along) + local[:, 2]).max())
    return Viewpoint(azimuth, elevation, field_of_view=field_of_view, distance=max(distance, 0.2), size=size)


def draw_viewpoint(mesh: Mesh, placement: Placement, viewpoint: Viewpoint, *, shading: bool) -> NDArray[np.uint8]:
    """The placed model at rest, straight alpha ``[H, W, 4]``."""
    placed = np.asarray(placement.apply(mesh.vertices))
    drawn = render_mesh(mesh, placed[None], viewpoint.cameras(), supersample=_SUPERSAMPLE, shading=shading)
    return np.asarray(drawn[0, 0])
