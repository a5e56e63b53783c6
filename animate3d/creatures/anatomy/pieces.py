"""Pieces that are parts of their own: propellers, lids, doors, jaws and turrets, by how they sit on their body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from animate3d.creatures.figures.part import Part
from animate3d.creatures.rigs import FRONT, LEFT, UP
from animate3d.motion.template import Template
from animate3d.rotations import rotation_matrices

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]

_MOST = 60
"""Pieces that are looked at."""
_BLADES = (2, 3, 4, 5, 6, 8)
_SMALLEST = 0.04
"""Radius of a propeller against the size of its body, at least."""
_THIN = 0.5
"""Depth of a propeller against its diameter, at most."""
_ALIKE = 0.09
"""How far a propeller is off itself after a turn by one blade, in radii, at most; half a blade on it is farther off."""
_HUB = 0.5
"""How far the hub of a propeller is from its body, at most, in radii."""
_NEAREST = 20
"""Nodes of the body nearest to a hub that tell where it sits."""
_TOUCH = 0.05
"""Within what share of its radius a propeller touches its body where it is nearest to it."""
_LID = 0.12
"""Width of a lid against the size of its body, at least."""
_TALL = 1.6
"""Height of a lid against its width, at most."""
_FLAT = 0.4
"""Height of what opens as a book does, against its width, at most."""
_DOOR = 0.25
"""Depth of a door against its height and its width, at most."""
_JAW = (0.2, 1.2)
"""Length of a loose jaw against that of its head."""
_CENTRAL = 0.05
"""How far a jaw is from the plane of symmetry at most, against the size of the body."""
_MOUTH = 0.1
"""How far a mouth is below the foremost point of a head, against the height of the head."""
_TURRET = (0.35, 0.9)
"""Share of the height at which a turret begins, at least and at most."""
_ON_TOP = 0.12
"""Width of a turret against the size of its body, at least."""
_STEP_IN = 0.85
"""How wide a turret that is one piece with its body is where it begins, against what is below, at most."""
_LEVELS = 24


@dataclass(frozen=True, eq=False)
class Extra:
    """A part that counts only where it is asked for.

    Attributes:
        part: its parent is that of a body whose limbs are found.
        follows: ``[M]`` how much every node follows it.
    """

    part: Part
    follows: Points


@dataclass(frozen=True, eq=False)
class _Piece:
    """A connected piece.

    Attributes:
        nodes: ``[M]`` mask.
        low, high: ``[3]`` box.
    """

    nodes: Mask
    low: Points
    high: Points

    @property
    def center(self) -> Points:
        return 0.5 * (self.low + self.high)

    @property
    def extent(self) -> Points:
        return self.high - self.low


def _pieces(template: Template) -> list[_Piece]:
    """The connected pieces but the largest, the larger ones first; of very many only those."""
    areas = np.bincount(template.pieces, template.areas)
    found = []
    for number in np.argsort(-areas)[1:_MOST]:
        nodes = template.pieces == number
        found.append(_Piece(nodes, template.rest[nodes].min(axis=0), template.rest[nodes].max(axis=0)))
    return found


def find_propellers(template: Template) -> list[Extra]:
    """Loose stars of blades that sit with their hub on the body."""
    size = float(np.ptp(template.rest, axis=0).max())
    found: list[Extra] = []
    taken = np.zeros(template.n_nodes, dtype=bool)
    for piece in _pieces(template):
        points = template.rest[piece.nodes]
        stars = [] if taken[piece.nodes].any() or len(points) < 8 else _stars(points)
        if not stars:
            continue
        hub = points.mean(axis=0)
        others = template.rest[~piece.nodes]
        nearest = others[np.argsort(np.linalg.norm(others - hub, axis=1))[:_NEAREST]].mean(axis=0)
        # Of a bar several axes are possible: it turns about the one that leads to its body.
        axis, radius = max(stars, key=lambda star: float(abs(star[0] @ (hub - nearest))))
        out = template.rest - hub
        along = out @ axis
        off = np.linalg.norm(out - np.outer(along, axis), axis=1)
        depth = float(np.abs(along[piece.nodes]).max())
        with_it = piece.nodes.copy()
        for other in _pieces(template):  # a cap on its hub
            flat = np.abs(along[other.nodes]).max() < 2.0 * depth + 0.1 * radius
            if flat and off[other.nodes].max() < 0.5 * radius:
                with_it |= other.nodes
        body = ~with_it & (off < 0.6 * radius)
        if radius < _SMALLEST * size or not body.any() or np.abs(along[body]).min() > _HUB * radius:
            continue
        gap, _ = cKDTree(template.rest[~with_it]).query(points)
        if np.median(off[piece.nodes][gap < gap.min() + _TOUCH * radius]) > _HUB * radius:
            continue  # a fin touches its body with its end
        taken |= with_it
        part = _propeller(template, hub, axis, radius, body & (np.abs(along) < 3 * radius))
        found.append(Extra(part, with_it.astype(float)))
    return found


def _propeller(template: Template, hub: Points, axis: Points, radius: float, behind: Mask) -> Part:
    """It turns counter-clockwise as seen from outside; the sails of what stands upright the other way round."""
    outward = axis * (np.sign(axis @ (hub - template.rest[behind].mean(axis=0))) or 1.0)
    extent = np.ptp(template.rest, axis=0)
    upright = extent[1] > 1.2 * float(np.abs(outward) @ extent) and abs(outward[1]) < 0.5
    hinge = -outward if upright else outward
    across = np.cross(outward, UP if abs(outward[1]) < 0.5 else FRONT)
    return Part("propeller", 0, hub, across / np.linalg.norm(across), hinge, radius)


def _stars(points: Points) -> list[tuple[Points, float]]:
    """Axes and radii about which points ``[K, 3]`` may be blades."""
    found = []
    _, axes = np.linalg.eigh(np.cov(points.T))
    centered = points - points.mean(axis=0)
    tree = cKDTree(centered)
    for axis in axes.T:
        along = centered @ axis
        radius = float(np.linalg.norm(centered - np.outer(along, axis), axis=1).max())
        if np.ptp(along) > _THIN * 2 * radius:
            continue

        def off(angle: float, axis: Points = axis) -> float:
            return float(tree.query(centered @ rotation_matrices(angle * axis).T)[0].mean())

        turns = [(off(2 * np.pi / blades), off(np.pi / blades)) for blades in _BLADES]
        if any(whole < _ALIKE * radius and half > 1.6 * whole + 0.02 * radius for whole, half in turns):
            found.append((axis, radius))
    return found


def find_lids(template: Template) -> list[Extra]:
    """The loose piece that lies on top of the others, else the one that stands upright in front of them."""
    pieces = _pieces(template)
    for find in (_lid, _door):
        fitting = [extra for piece in pieces if (extra := find(template, piece)) is not None]
        if fitting:
            return [max(fitting, key=lambda extra: float(template.areas @ extra.follows))]
    return []


def _lid(template: Template, piece: _Piece) -> Extra | None:
    points = template.rest
    low, high = points.min(axis=0), points.max(axis=0)
    width = float(min(piece.extent[0], piece.extent[2]))
    if width < _LID * float((high - low).max()) or piece.extent[1] > _TALL * width:
        return None
    room = 0.05 * piece.extent
    under = (points > piece.low - room)[:, [0, 2]].all(axis=1) & (points < piece.high + room)[:, [0, 2]].all(axis=1)
    on_top = under & (points[:, 1] >= piece.center[1])  # what stands on it goes with it
    rest = under & ~piece.nodes
    if not rest.any() or np.quantile(points[rest, 1], 0.85) > piece.center[1]:
        return None
    knobs = {number for number in np.unique(template.pieces[on_top]) if under[template.pieces == number].all()}
    follows = piece.nodes | (np.isin(template.pieces, list(knobs)) & (points[:, 1] > piece.low[1]))
    seam = float(np.clip(points[rest, 1].max(), piece.low[1], piece.center[1]))
    body = high - low
    if body[1] < _FLAT * min(body[0], body[2]):  # as a book opens
        joint, along, hinge = np.array([piece.low[0], seam, piece.center[2]]), LEFT, FRONT
        length = piece.extent[0]
    else:
        joint, along, hinge = np.array([piece.center[0], seam, piece.low[2]]), FRONT, -LEFT
        length = piece.extent[2]
    return Extra(Part("lid", 0, joint, along, hinge, float(length)), follows.astype(float))


def _door(template: Template, piece: _Piece) -> Extra | None:
    points = template.rest
    wide, tall, deep = piece.extent
    low, high = points[~piece.nodes].min(axis=0), points[~piece.nodes].max(axis=0)
    stands = deep < _DOOR * min(wide, tall) and piece.low[1] < low[1] + 0.5 * (high[1] - low[1])
    if not stands or min(wide, tall) < _LID * float((high - low).max()):
        return None
    room = 0.05 * piece.extent
    across = (points > piece.low - room)[:, :2].all(axis=1) & (points < piece.high + room)[:, :2].all(axis=1)
    rest = across & ~piece.nodes
    if not rest.any() or np.quantile(points[rest, 2], 0.85) > piece.center[2]:
        return None
    joint = np.array([piece.low[0], piece.center[1], piece.low[2]])
    return Extra(Part("lid", 0, joint, LEFT, -UP, float(wide)), piece.nodes.astype(float))


def find_jaws(template: Template, head: int, follows: Points) -> list[Extra]:
    """The loose piece that is a lower jaw, else the lower front of a head.

    Args:
        head: number of the part; 0 where no head was found.
        follows: ``[M]`` how much every node follows it.
    """
    points = template.rest
    low, high = points.min(axis=0), points.max(axis=0)
    skull = follows > 0.5 if head else points[:, 2] > low[2] + 0.6 * (high[2] - low[2])
    if not skull.any():
        return []
    bottom, top = points[skull].min(axis=0), points[skull].max(axis=0)
    for piece in _pieces(template):
        long = piece.extent[2] / max(float(top[2] - bottom[2]), 1e-9)
        central = abs(piece.center[0] - 0.5 * (low[0] + high[0])) < _CENTRAL * float((high - low).max())
        lies = piece.extent[2] > 0.8 * piece.extent[1] and _JAW[0] < long < _JAW[1]
        within = (piece.center > bottom).all() and (piece.center < top + 0.3 * (top - bottom) * FRONT).all()
        if central and lies and within and _hangs(points, piece):
            joint = np.array([piece.center[0], piece.center[1], piece.low[2]])
            return [Extra(Part("jaw", head, joint, FRONT, LEFT, float(piece.extent[2])), piece.nodes.astype(float))]
    if not head or top[2] - bottom[2] <= 0 or top[1] - bottom[1] <= 0:  # a flat head has no mouth
        return []
    tip = points[skull][points[skull][:, 2].argmax()]
    mouth = tip[1] - _MOUTH * (top[1] - bottom[1])
    joint = np.array([0.5 * (bottom[0] + top[0]), mouth, 0.5 * (bottom[2] + tip[2])])
    length = float(tip[2] - joint[2])
    ahead = np.clip((points[:, 2] - joint[2]) / (0.5 * length), 0.0, 1.0)
    under = np.clip(0.5 + (mouth - points[:, 1]) / (_MOUTH * float(top[1] - bottom[1])), 0.0, 1.0)
    return [Extra(Part("jaw", head, joint, FRONT, LEFT, length), follows * ahead * under)]


def _hangs(points: Points, piece: _Piece) -> bool:
    """Whether a piece is below what else is where it is seen from above."""
    over = ~piece.nodes & (points > piece.low)[:, [0, 2]].all(axis=1) & (points < piece.high)[:, [0, 2]].all(axis=1)
    return bool(over.any()) and float(np.median(points[over, 1])) > piece.center[1] + 0.2 * float(piece.extent[1])


def find_turrets(template: Template) -> list[Extra]:
    """What sits on top and turns about the vertical: a loose piece with all that is above its rim, else a step in."""
    low, high = float(template.rest[:, 1].min()), float(template.rest[:, 1].max())
    size, tall = float(np.ptp(template.rest, axis=0).max()), high - low
    least, most = (low + share * tall for share in _TURRET)
    tops = [
        piece
        for piece in _pieces(template)
        if least < piece.low[1] < most and min(piece.extent[0], piece.extent[2]) > _ON_TOP * size
    ]
    if tops:
        base, follows = float(tops[0].low[1]), tops[0].nodes.copy()
        for piece in _pieces(template):
            if piece.low[1] > base - 0.02 * tall:  # its gun, and what stands on it
                follows |= piece.nodes
        middle = tops[0].center
    elif (step := _step_in(template, least, most)) is not None:
        base, follows = step, template.rest[:, 1] >= step
        middle = np.average(template.rest[follows], axis=0, weights=template.areas[follows])
    else:
        return []
    joint = np.array([middle[0], base, middle[2]])
    return [Extra(Part("turret", 0, joint, UP, LEFT, high - base), follows.astype(float))]


def _step_in(template: Template, least: float, most: float) -> float | None:
    """The height between two others above which a body is narrowest against what is below, if it is narrower."""
    middle = 0.5 * (template.rest.min(axis=0) + template.rest.max(axis=0))
    out = np.linalg.norm((template.rest - middle)[:, [0, 2]], axis=1)
    heights = template.rest[:, 1]
    shares = {}
    for level in np.linspace(least, most, _LEVELS).tolist():
        above = heights >= level
        if above.any() and not above.all():
            over, under = (np.average(out[side], weights=template.areas[side]) for side in (above, ~above))
            shares[level] = float(over / max(float(under), 1e-9))
    return min(shares, key=lambda level: shares[level]) if shares and min(shares.values()) <= _STEP_IN else None
