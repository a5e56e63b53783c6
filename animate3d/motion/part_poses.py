"""Many poses of a part of a surface, compared with a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from animate3d.motion import part_kernels
from animate3d.motion.surfaces import Array, Ids
from animate3d.rasterize.threads import run_parts


class PartPoses:
    """Says what a surface misses of a frame with a part of it in other poses; the rest of it is drawn once.

    Args:
        nodes: ``[M, 3]`` the surface.
        part: ``[L]`` ids of the nodes that move.
        triangles: ``[T, 3]`` of the whole surface.
        eyes: cameras, see `part_kernels._draw_over`.
        look: how the surface looks, see `part_kernels._draw_over`.
        targets: ``[V, H, W, 4]`` the frame.
        blur: pixels that are averaged along each axis before they are compared.
        known: ``[V, H, W]`` where the frames show anything; None for everywhere.
    """

    def __init__(
        self,
        nodes: Array,
        part: Ids,
        triangles: Ids,
        eyes: tuple[Any, ...],
        look: tuple[Any, ...],
        targets: NDArray[np.uint8],
        blur: int,
        known: NDArray[np.bool_] | None,
    ) -> None:
        moves = np.zeros(len(nodes), bool)
        moves[part] = True
        of_part = moves[triangles].any(axis=1)
        self._corners, own = np.unique(triangles[of_part], return_inverse=True)
        self._triangles = np.ascontiguousarray(own.reshape(-1, 3))
        self._around = nodes[self._corners]  # with neighbours that stay where they are
        self._drawn = np.isin(part, self._corners)  # a node may be a point without triangles
        self._at = np.searchsorted(self._corners, part[self._drawn])
        local, colors, *first = look
        self._look = np.ascontiguousarray(local[:, self._corners]), colors[self._corners], *first
        self._eyes, self._targets, self._blur = eyes, targets, blur
        nearest = np.zeros(targets.shape[:3])
        if known is not None:
            nearest[~known] = np.inf
        apart, squares = np.empty((*targets.shape[:3], 3), np.float32), np.empty(targets.shape[:3], np.float32)
        self._rest = nearest, apart, squares
        others = np.ascontiguousarray(triangles[~of_part])
        run_parts(part_kernels.draw_rest, len(targets), nodes, others, eyes, look, targets, blur, *self._rest)
        self._missed = float(squares.sum(dtype=np.float64))

    def missed(self, poses: Array) -> Array:
        """What the surface misses of the frame with the part in each of some poses ``[K, L, 3]``. ``[K]``"""
        corners = np.repeat(self._around[None], len(poses), axis=0)
        corners[:, self._at] = poses[:, self._drawn]
        more = np.empty(len(poses))
        compared = self._eyes, self._look, self._targets, self._blur, *self._rest
        run_parts(part_kernels.compare_poses, len(poses), corners, self._triangles, *compared, more)
        return self._missed + more
