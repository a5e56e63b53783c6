"""Where a tracked motion was seen and where it is assumed: the model coloured by confidence."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.frames import on_grey
from animate3d.meshes import Mesh
from animate3d.rasterize.textured import render_mesh

Array = NDArray[np.floating]

_STOPS = np.array([0.0, 0.5, 1.0])
_COLOURS = np.array([[0.27, 0.12, 0.50], [0.13, 0.57, 0.55], [0.99, 0.91, 0.14]])  # apart in brightness too
_LEGEND = 26  # rows


def confidence_colors(confidence: Array) -> NDArray[np.float64]:
    """Colours ``[N, 3]`` 0..1 of confidence ``[N]``: violet was never seen, yellow was always found again."""
    return np.stack([np.interp(confidence, _STOPS, channel) for channel in _COLOURS.T], axis=1)


def confidence_picture(mesh: Mesh, placed: Array, confidence: Array, cameras: Cameras) -> NDArray[np.uint8]:
    """The model coloured by confidence from every camera, side by side, over a scale ``[H, V * W, 3]``.

    Args:
        placed: ``[N, 3]``
        confidence: ``[N]`` 0..1, the mean over all frames.
        cameras: ``[V]``
    """
    coloured = Mesh.from_faces(
        np.asarray(placed, np.float64), mesh.triangles()[0], vertex_colors=confidence_colors(confidence)
    )
    drawn = render_mesh(coloured, np.asarray(placed)[None], cameras, supersample=3)[:, 0]
    pictures = np.hstack(list(on_grey(drawn)))
    return np.vstack([pictures, _legend(pictures.shape[1])])


def _legend(width: int) -> NDArray[np.uint8]:
    bar = np.full((_LEGEND, width, 3), 40, np.uint8)
    left, right = 84, max(width - 112, 90)
    shades = confidence_colors(np.linspace(0, 1, right - left))
    bar[6:-6, left:right] = (255 * shades + 0.5).astype(np.uint8)
    for text, x in (("not seen", 8), ("found again", right + 8)):
        cv2.putText(bar, text, (x, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235), 1, cv2.LINE_AA)
    return bar
