"""Mesh to Gaussians written plainly: a walk over faces and corners, one at a time.

The definition of section 3 as a reader would type it. Benchmarks compare with it and tests use it as an oracle.
"""

from __future__ import annotations

import numpy as np


def texel(image: np.ndarray, u: float, v: float) -> np.ndarray:
    """Bilinear sample of a uint8 image ``[H, W, 3]``, v up, clamped at the border. ``[3]`` in 0..1"""
    height, width = image.shape[:2]
    x = min(max(float(u), 0.0), 1.0) * (width - 1)
    y = min(max(1.0 - float(v), 0.0), 1.0) * (height - 1)
    x0, y0 = int(x), int(y)
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    fx, fy = x - x0, y - y0
    upper = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    lower = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
    return (upper * (1 - fy) + lower * fy) / 255.0


def mesh_to_gaussians(
    vertices: np.ndarray, faces: np.ndarray, corner_uvs: np.ndarray, image: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[int, dict[int, float]]]:
    """Colours, log scales and edge lengths of a triangle mesh.

    Args:
        vertices: ``[N, 3]``
        faces: ``[P, 3]``
        corner_uvs: ``[P, 3, 2]``
        image: ``[H, W, 3]`` uint8

    Returns:
        colours ``[N, 3]``, log scales ``[N, 3]`` and ``{vertex: {neighbour: length}}``.
    """
    n = len(vertices)
    colors, corners = np.zeros((n, 3)), np.zeros(n)
    connected: dict[int, dict[int, float]] = {}
    for face, uvs in zip(faces, corner_uvs, strict=True):
        for k in range(3):
            vertex, other = int(face[k]), int(face[(k + 1) % 3])
            colors[vertex] += texel(image, *uvs[k])
            corners[vertex] += 1
            length = float(np.linalg.norm(vertices[vertex] - vertices[other]))
            connected.setdefault(vertex, {})[other] = length
            connected.setdefault(other, {})[vertex] = length
    log_scales = np.full((n, 3), -np.inf)
    for vertex, neighbours in connected.items():
        extents = [np.abs(vertices[vertex] - vertices[other]) for other in neighbours]
        log_scales[vertex] = np.log(np.mean(extents, axis=0) / 1.1)
    colors /= np.maximum(corners, 1)[:, None]
    return colors, log_scales, connected
