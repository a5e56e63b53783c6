"""Small pictures of a model by many cameras, and the picture that they are compared with.

A camera has seven parameters that a fit can step along: azimuth, elevation and roll in degrees, the logarithms of the
tangent of half its field of view and of the model's size in the picture, and the offset.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from animate3d.meshes import Mesh, Placement
from animate3d.meshes.appearance import colors_at, vertex_colors
from animate3d.motion.surfaces import vertex_normals
from animate3d.rasterize.visibility import visible_through
from animate3d.runs.viewpoint import camera_to_world

Array = NDArray[np.float64]
Image = NDArray[np.float32]

_MARGIN = 0.2  # of the object's longer side, around it in the window
_LEAST_TRIANGLES = 6000  # a coarser textured mesh is split


def picture_size(rgba: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height of a picture ``[H, W, 4]``."""
    return rgba.shape[1], rgba.shape[0]


def camera_numbers(parameters: Array) -> Array:
    """Rows of `camera_to_world` ``[B, 7]`` of parameters ``[B, 7]``."""
    fov = 2 * np.degrees(np.arctan(np.exp(parameters[:, 3])))
    distance = np.exp(-parameters[:, 4] - parameters[:, 3])  # size = 1 / (distance * tan(fov / 2))
    angles = parameters[:, :3].copy()
    angles[:, 1] = angles[:, 1].clip(-89, 89)
    return np.concatenate([angles, fov[:, None], distance[:, None], parameters[:, 5:7]], axis=1)


class Window(NamedTuple):
    """A square around the object in a picture, as the fit sees it.

    Attributes:
        alpha: ``[S, S]``
        color: ``[S, S, 3]`` 0..1.
        known: ``[S, S]`` 1 inside of the picture, 0 beyond its border.
        corner: of the window in the picture, x and y in its pixels.
        scale: pixels of the window per pixel of the picture.
        picture: width and height of the picture.
    """

    alpha: Image
    color: Image
    known: Image
    corner: tuple[float, float]
    scale: float
    picture: tuple[int, int]

    @classmethod
    def of(cls, rgba: NDArray[np.uint8], size: int) -> Window:
        """The square around what a picture ``[H, W, 4]`` shows, drawn with so many pixels a side."""
        rows, columns = np.nonzero(rgba[..., 3] > 127)
        low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()]) + 1.0
        side = float((high - low).max()) * (1 + 2 * _MARGIN) + 4
        corner = (low + high) / 2 - side / 2
        scale = size / side
        straight = rgba.astype(np.float32) / 255
        layers = np.dstack(
            [straight[..., :3] * straight[..., 3:], straight[..., 3], np.ones(rgba.shape[:2], np.float32)]
        )
        if scale < 0.5:  # warpAffine does not average
            shrink = max(1, round(0.5 / scale))
            layers = cv2.blur(layers, (shrink * 2 - 1, shrink * 2 - 1), borderType=cv2.BORDER_CONSTANT)
        # Pixel centres lie at +0.5: x' + 0.5 = scale * (x + 0.5 - corner).
        shift = scale * (0.5 - corner) - 0.5
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        seen = np.asarray(cv2.warpAffine(layers, matrix, (size, size), flags=cv2.INTER_LINEAR), np.float32)
        alpha = seen[..., 3]
        color = seen[..., :3] / np.maximum(alpha, 1e-3)[..., None]
        return cls(
            alpha,
            np.where(alpha[..., None] > 0.1, color, 0).clip(0, 1),
            (seen[..., 4] > 0.99).astype(np.float32),
            (float(corner[0]), float(corner[1])),
            scale,
            picture_size(rgba),
        )


class Drawn(NamedTuple):
    """Renders in a window: coverage ``[B, S, S]``, colours and normals in the camera's axes ``[B, S, S, 3]``."""

    alpha: Image
    color: Image
    normal: Image


class Drawer:
    """Draws the placed model by many cameras.

    Attributes:
        centre: ``[3]`` of its box in the world; the cameras' parameters are about it.
        radius: of the ball around it that holds the model.
    """

    def __init__(self, mesh: Mesh, placement: Placement) -> None:
        placed = np.asarray(placement.apply(mesh.vertices), dtype=np.float64)
        triangles = mesh.triangles()[0]
        used = placed[np.unique(triangles)]
        self.centre = (used.min(axis=0) + used.max(axis=0)) / 2
        self.radius = float(np.linalg.norm(used - self.centre, axis=1).max())
        normals = vertex_normals(placed, np.ascontiguousarray(triangles, dtype=np.int64))
        self._points, self._triangles = placed - self.centre, np.ascontiguousarray(triangles, dtype=np.int64)
        self._values = np.concatenate([vertex_colors(mesh), normals], axis=1).astype(np.float32)
        split = math.ceil(math.sqrt(_LEAST_TRIANGLES / max(len(triangles), 1)))
        if split > 1 and mesh.textured_corners().any():
            self._split(mesh, split)

    def _split(self, mesh: Mesh, count: int) -> None:
        """Split every triangle's sides: a texture shows more than the colours of a coarse mesh's vertices."""
        steps = [(i, j) for i in range(count + 1) for j in range(count + 1 - i)]
        number = {step: k for k, step in enumerate(steps)}
        upward = [((i, j), (i + 1, j), (i, j + 1)) for i, j in steps if i + j < count]
        downward = [((i + 1, j), (i + 1, j + 1), (i, j + 1)) for i, j in steps if i + j < count - 1]
        small = np.array([[number[corner] for corner in triangle] for triangle in (*upward, *downward)])
        shares = np.array([(count - i - j, i, j) for i, j in steps]) / count  # [K, 3]
        points = np.einsum("kc,tcd->tkd", shares, self._points[self._triangles])
        values = np.einsum("kc,tcd->tkd", shares, self._values[self._triangles])
        whole = np.repeat(np.arange(len(self._triangles)), len(steps))
        colors = colors_at(mesh, whole, np.tile(shares, (len(self._triangles), 1)))
        values[..., :3] = colors.reshape(*values.shape[:2], 3)
        first = np.arange(len(self._triangles))[:, None, None] * len(steps)
        self._triangles = np.ascontiguousarray((first + small).reshape(-1, 3), dtype=np.int64)
        self._points = points.reshape(-1, 3)
        self._values = values.reshape(-1, 6).astype(np.float32)

    def draw(self, parameters: Array, window: Window) -> Drawn:
        """By cameras with parameters ``[B, 7]``, in a window of the picture."""
        numbers = camera_numbers(parameters)
        size = len(window.alpha)
        width, height = window.picture
        focal = window.scale * 0.5 * height / np.tan(np.radians(numbers[:, 3]) / 2)
        at = [
            window.scale * (half - corner) - size / 2
            for half, corner in zip((width / 2, height / 2), window.corner, strict=True)
        ]
        return self.draw_through(viewmats(camera_to_world(numbers)), focal, np.array(at), size)

    def draw_through(self, viewmats: Array, focal: Array, at: Array, size: int) -> Drawn:
        """By cameras whose optical axes meet the window ``at`` pixels (x, y) off its middle."""
        sheared = viewmats.copy()  # an axis off the middle is a shear of the camera's coordinates
        for k in range(2):
            sheared[:, k] += (at[k] / focal)[:, None] * viewmats[:, 2]
        winner, weights = visible_through(self._points, self._triangles, sheared, focal, 1e-3, size, size)
        on = winner >= 0
        corners = self._triangles[winner[on]]
        w = weights[on]
        values = np.zeros((*winner.shape, 6), np.float32)
        values[on] = (
            (1 - w.sum(axis=1, keepdims=True)) * self._values[corners[:, 0]]
            + w[:, :1] * self._values[corners[:, 1]]
            + w[:, 1:] * self._values[corners[:, 2]]
        )
        normal = np.einsum("bij,bhwj->bhwi", viewmats[:, :3, :3].astype(np.float32), values[..., 3:])
        normal = np.where(normal[..., 2:] > 0, -normal, normal)  # both sides are drawn: towards the camera
        return Drawn(on.astype(np.float32), values[..., :3], normal.astype(np.float32))


def viewmats(c2w: Array) -> Array:
    """World to camera, OpenCV axes ``[B, 4, 4]``."""
    viewmats = np.zeros_like(c2w)
    rotation = (c2w[:, :3, :3] * [1.0, -1.0, -1.0]).transpose(0, 2, 1)
    viewmats[:, :3, :3] = rotation
    viewmats[:, :3, 3] = -np.einsum("bij,bj->bi", rotation, c2w[:, :3, 3])
    viewmats[:, 3, 3] = 1.0
    return viewmats
