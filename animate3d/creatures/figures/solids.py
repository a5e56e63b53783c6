"""Simple solids with a part and a piece each, and their signed distances, many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from animate3d.creatures.sculpt import fields

Points = NDArray[np.floating]

_KERNELS: dict[str, Callable[..., Points]] = {}
"""Signed distance by kind: local coordinates ``x, y, z [...]`` and six sizes ``[...]`` to ``[...]``."""


@dataclass(frozen=True, eq=False)
class Solid:
    """A solid in its own frame.

    Attributes:
        kind: ``"limb"`` (rounded cone along y, or ellipsoid), ``"plate"`` (flat in z), ``"box"``, ``"drum"`` (frustum
            along y), ``"ring"`` (torus around y) or ``"lathe"`` (outline turned around y).
        part: number of the part it belongs to.
        piece: number of the loose piece.
        center: ``[3]`` origin of its frame.
        axes: ``[3, 3]`` rows are its x, y and z axis.
        sizes: ``[6]``, by kind.
        blend: how wide the fillet towards the solids before it is.
        thickness: half of what it measures where it is thinnest.
        outline: ``[K, 2]`` radius and height, for a lathe.
    """

    kind: str
    part: int
    piece: int
    center: Points
    axes: Points
    sizes: Points
    blend: float
    thickness: float
    outline: Points = field(default_factory=lambda: np.zeros((0, 2)))


class Solids:
    """Solids sorted by part, whose distances are evaluated together."""

    def __init__(self, solids: Sequence[Solid]) -> None:
        self.items = sorted(solids, key=lambda solid: solid.part)
        self.part = np.array([solid.part for solid in self.items])
        self.piece = np.array([solid.piece for solid in self.items])
        self.blend = np.array([solid.blend for solid in self.items], dtype=np.float32)
        self.thickness = np.array([solid.thickness for solid in self.items], dtype=np.float32)
        self._centers = np.array([solid.center for solid in self.items], dtype=np.float32)
        self._axes = np.array([solid.axes for solid in self.items], dtype=np.float32)
        self._sizes = np.array([solid.sizes for solid in self.items], dtype=np.float32)
        kinds = np.array([solid.kind for solid in self.items])
        self._groups = {kind: np.flatnonzero(kinds == kind) for kind in _KERNELS if (kinds == kind).any()}
        self._lathes = {int(at): _Outline(self.items[at].outline) for at in np.flatnonzero(kinds == "lathe")}

    def __len__(self) -> int:
        return len(self.items)

    def distances(self, points: Points) -> Points:
        """Distance of every point ``[N, 3]`` to every solid. ``[S, N]``"""
        points = np.asarray(points, dtype=np.float32)
        result = np.empty((len(self), len(points)), dtype=np.float32)
        for kind, members in self._groups.items():
            axes = self._axes[members]
            shift = np.einsum("sij,sj->si", axes, self._centers[members])
            local = (axes.reshape(-1, 3) @ points.T).reshape(len(members), 3, -1) - shift[..., None]
            sizes = self._sizes[members].T[..., None]
            result[members] = _KERNELS[kind](local[:, 0], local[:, 1], local[:, 2], *sizes)
        for index in self._lathes:
            result[index] = self._lathe(index, (points - self._centers[index]) @ self._axes[index].T)
        return result

    def own_distance(self, points: Points, owner: NDArray[np.int64]) -> Points:
        """Distance of every point ``[N, 3]`` to one solid, its owner ``[N]``. ``[N]``"""
        points = np.asarray(points, dtype=np.float32)
        result = np.empty(len(points), dtype=np.float32)
        local = np.einsum("nij,nj->in", self._axes[owner], points - self._centers[owner])
        kinds = np.full(len(self), -1)
        for number, members in enumerate(self._groups.values()):
            kinds[members] = number
        kinds = kinds[owner]
        for number, kind in enumerate(self._groups):
            at = np.flatnonzero(kinds == number)
            result[at] = _KERNELS[kind](*local[:, at], *self._sizes[owner[at]].T)
        for index in self._lathes:
            at = np.flatnonzero(owner == index)
            result[at] = self._lathe(index, local[:, at].T)
        return result

    def _lathe(self, index: int, local: Points) -> Points:
        radius = np.sqrt(local[:, 0] ** 2 + local[:, 2] ** 2)
        return self._lathes[index].distance(radius, local[:, 1]) - self._sizes[index, 0]


class _Outline:
    """Signed distance to an outline in the plane, from a table: an outline has many edges."""

    def __init__(self, outline: Points, cells: int = 72) -> None:
        low, high = outline.min(axis=0), outline.max(axis=0)
        margin = 0.1 * float((high - low).max())
        self._low = np.array([0.0, low[1] - margin])
        self._step = (high + margin - self._low) / cells
        grid = np.stack(np.meshgrid(np.arange(cells + 1), np.arange(cells + 1), indexing="ij"), axis=-1)
        self._table = fields.polygon(self._low + grid * self._step, outline).astype(np.float32)
        self._last = cells - 1e-3

    def distance(self, x: Points, y: Points) -> Points:
        """At places ``[N]``; outside of the table it grows with the way to it."""
        u, v = (x - self._low[0]) / self._step[0], (y - self._low[1]) / self._step[1]
        inner_u, inner_v = np.clip(u, 0.0, self._last), np.clip(v, 0.0, self._last)
        i, j = inner_u.astype(np.int64), inner_v.astype(np.int64)
        a, b, table = inner_u - i, inner_v - j, self._table
        near = (1 - b) * ((1 - a) * table[i, j] + a * table[i + 1, j])
        near += b * ((1 - a) * table[i, j + 1] + a * table[i + 1, j + 1])
        away = np.hypot((u - inner_u) * self._step[0], (v - inner_v) * self._step[1])
        return near + away


def kernel(function: Callable[..., Points]) -> Callable[..., Points]:
    """Register a function as the distance of the kind it is named after."""
    _KERNELS[function.__name__] = function
    return function


@kernel
def limb(
    x: Points, y: Points, z: Points, length: Points, r0: Points, r1: Points, sx: Points, sy: Points, sz: Points
) -> Points:
    """A rounded cone from the origin to ``(0, length, 0)``, its space scaled by ``sx, sy, sz``."""
    x, y, z = x / sx, y / sy, z / sz
    share = np.clip(y / np.maximum(length, 1e-6), 0.0, np.where(length > 0, 1.0, 0.0))
    y = y - share * length
    away = np.sqrt(x * x + y * y + z * z) + 1e-9
    # To first order the distance is the value over the length of its slope, which the scale changes.
    slope = np.sqrt((x / sx) ** 2 + (y / sy) ** 2 + (z / sz) ** 2) + 1e-9
    return (away - r0 - share * (r1 - r0)) * away / slope


@kernel
def plate(
    x: Points, y: Points, z: Points, length: Points, r0: Points, r1: Points, sx: Points, half: Points, unused: Points
) -> Points:
    """A flat rounded cone of half thickness ``half`` around the plane z = 0."""
    wide = x / sx
    share = np.clip(y / np.maximum(length, 1e-6), 0.0, np.where(length > 0, 1.0, 0.0))
    y = y - share * length
    away = np.sqrt(wide * wide + y * y) + 1e-9
    slope = np.sqrt((wide / sx) ** 2 + y * y) + 1e-9
    outline = (away - r0 - share * (r1 - r0)) * away / slope
    outward = np.maximum(outline + half, 0.0)
    return np.sqrt(outward**2 + z * z) - half


@kernel
def box(
    x: Points, y: Points, z: Points, hx: Points, hy: Points, hz: Points, rounding: Points, narrow: Points, lean: Points
) -> Points:
    """A box with round edges; its width and depth at the top are ``1 - narrow`` of those in the middle."""
    height = np.clip(y / hy, -1.0, 1.0)
    z = z - lean * height
    wide = 1.0 - narrow * height
    qx, qy, qz = np.abs(x) - hx * wide + rounding, np.abs(y) - hy + rounding, np.abs(z) - hz * wide + rounding
    outside = np.sqrt(np.maximum(qx, 0.0) ** 2 + np.maximum(qy, 0.0) ** 2 + np.maximum(qz, 0.0) ** 2)
    inside = np.minimum(np.maximum(np.maximum(qx, qy), qz), 0.0)
    steep = (np.abs(lean) + np.abs(narrow) * np.maximum(hx, hz)) / hy
    return (outside + inside - rounding) / np.sqrt(1.0 + steep**2)


@kernel
def drum(
    x: Points, y: Points, z: Points, half: Points, r0: Points, r1: Points, rounding: Points, sx: Points, unused: Points
) -> Points:
    """A cylinder or frustum around y with round edges: radius ``r0`` at the bottom, ``r1`` at the top."""
    radius = np.sqrt((x / sx) ** 2 + z * z)
    wide = 0.5 * (r0 + r1) + 0.5 * (r1 - r0) * np.clip(y / half, -1.0, 1.0)
    steep = np.sqrt(1.0 + (0.5 * (r1 - r0) / half) ** 2)
    qr, qy = (radius - wide) * np.minimum(sx, 1.0) / steep + rounding, np.abs(y) - half + rounding
    outside = np.sqrt(np.maximum(qr, 0.0) ** 2 + np.maximum(qy, 0.0) ** 2)
    return outside + np.minimum(np.maximum(qr, qy), 0.0) - rounding


@kernel
def ring(
    x: Points, y: Points, z: Points, large: Points, small: Points, tall: Points, _a: Points, _b: Points, _c: Points
) -> Points:
    """A torus around y, its tube stretched by ``tall`` in y."""
    radial = np.sqrt(x * x + z * z) - large
    up = y / tall
    away = np.sqrt(radial * radial + up * up) + 1e-9
    slope = np.sqrt(radial * radial + (up / tall) ** 2) + 1e-9
    return (away - small) * away / slope


def template(solid: Solid, around: int = 24) -> Points:
    """A coarse grid on the solid's surface, for spreading points: ``[U, V, 3]``, closed along V."""
    angle = np.linspace(0.0, 2 * np.pi, around + 1)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    a, b, c, d, e, _ = solid.sizes.tolist()
    if solid.kind == "limb":
        bow = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 9)
        # A round end is seen in full; the side of the cone joins the two.
        low, high = bow[:5], bow[4:]
        profile = np.concatenate(
            [np.stack([b * np.cos(low), b * np.sin(low)], 1), np.stack([c * np.cos(high), a + c * np.sin(high)], 1)]
        )
        local = _revolved(profile, circle) * solid.sizes[3:6]
    elif solid.kind == "plate":
        end, radius = np.where(circle[:, 1] > 0, a, 0.0), np.where(circle[:, 1] > 0, c, b)
        rings = []
        for share, z in ((0.0, e), (0.9, e), (1.0, 0.0), (0.9, -e), (0.0, -e)):
            x, y = share * radius * circle[:, 0] * d, end + share * radius * circle[:, 1]
            rings.append(np.stack([x, y, np.full_like(x, z)], axis=-1))
        local = np.stack(rings)
    elif solid.kind == "box":
        square = circle / np.abs(circle).max(axis=1, keepdims=True)
        flat, inset = 1.0 - d / b, 1.0 - d / max(a, c)  # where the edges begin to be round
        heights = np.array([-1.0, -1.0, -flat, flat, 1.0, 1.0])
        shares = np.array([0.0, inset, 1.0, 1.0, inset, 0.0])
        wide = shares * (1 - e * heights)
        local = np.stack(
            [
                a * wide[:, None] * square[:, 0],
                b * np.repeat(heights[:, None], len(circle), 1),
                c * wide[:, None] * square[:, 1] + solid.sizes[5] * heights[:, None],
            ],
            axis=-1,
        )
    elif solid.kind == "drum":
        local = _revolved(
            np.array([[0, -a], [max(b - d, 0), -a], [b, d - a], [c, a - d], [max(c - d, 0), a], [0, a]]), circle
        ) * np.array([e, 1.0, 1.0])
    elif solid.kind == "ring":
        tube = np.linspace(0.0, 2 * np.pi, 9)
        local = _revolved(np.stack([a + b * np.cos(tube), c * b * np.sin(tube)], axis=1), circle)
    else:
        local = _revolved(np.concatenate([solid.outline, solid.outline[:1]]), circle)
    return local @ solid.axes + solid.center


def _revolved(profile: Points, circle: Points) -> Points:
    """A profile ``[U, 2]`` of radii and heights around y, at the points of a circle ``[V, 2]``. ``[U, V, 3]``"""
    radius, height = profile[:, 0, None], np.repeat(profile[:, 1, None], len(circle), 1)
    return np.stack([radius * circle[:, 0], height, radius * circle[:, 1]], axis=-1)


def frame(along: ArrayLike, normal: ArrayLike) -> Points:
    """Axes whose y runs along a direction and whose z is as near to a normal as it can be. ``[3, 3]``"""
    y = np.asarray(along, dtype=float) / np.linalg.norm(along)
    z = np.asarray(normal, dtype=float) - y * (y @ np.asarray(normal, dtype=float))
    if np.linalg.norm(z) < 1e-3:
        z = np.eye(3)[np.abs(y).argmin()]
        z = z - y * (y @ z)
    z = z / np.linalg.norm(z)
    return np.stack([np.cross(y, z), y, z])
