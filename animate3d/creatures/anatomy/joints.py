"""Where a limb joins its body: the point that it turns about, inside of the body, and how softly its skin gives way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from animate3d.motion.surfaces import vertex_normals
from animate3d.motion.template import Template

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]

_LOOSE = 0.8
"""Share of the places where a limb meets its body that are no surface, at least, for it to be a piece of its own."""
_ROOT = 0.3
"""Share of a limb, from where it leaves the body, whose thickness is that of its root."""
_FEW = 6
"""Nodes that a rim has, at least."""
_DEEP = 0.25
"""How deep in the body a limb turns, as a share of how thick that is."""
_DEEPEST = 4.0
"""How deep it turns at most, in half thicknesses of the root."""
_STEP = 0.04
"""Share of the size over which girths are measured."""
_WAIST = 0.8
"""Girth of a waist against those on both sides of it, at most."""
_LARGEST, _BODY = 0.4, 0.8
"""Shares of the surface: of what a waist cuts off, at most, and within which the body behind it is wider."""
_NECK = 0.9
"""Width of the neck of something upright against what is above and below it, at most."""
_CROWN = (0.08, 0.92)
"""Shares of the surface that stand on a neck: at least and at most."""
_AS_NARROW = 1.12
"""Girth within which a place is as narrow as the waist."""
_FLARE = 1.6
"""Girth where a limb ends, against the usual one on the way there."""
_GIVES = 1.0
"""How far along a limb the skin gives way, in half thicknesses of the root."""
_BEYOND = 0.5
"""How far it does so on the body, against that."""


def share_of(template: Template, graph: sparse.csr_matrix, inside: Mask, radius: float) -> Points:
    """How much every node follows a limb ``[M]``: half where it leaves the body, a loose piece as a whole.

    Args:
        graph: distances between neighbours, see `node_graph`.
        inside: ``[M]`` nodes of the limb.
        radius: half the thickness of its root.
    """
    if _is_loose(template, inside):
        return inside.astype(float)
    within = _from(graph, ~inside)
    reach = max(min(_GIVES * radius, _ROOT * float(within[inside].max())), template.edge)
    beyond = max(_BEYOND * reach, template.edge)  # what is near a thigh, such as a tail, is not to go with it
    depth = np.where(inside, within / reach, -_from(graph, inside, beyond) / beyond)
    place = np.clip(0.5 + 0.5 * depth, 0.0, 1.0)
    return np.asarray(place * place * (3 - 2 * place))


def root_of(template: Template, graph: sparse.csr_matrix, inside: Mask, along: Points) -> tuple[Points, float]:
    """Middle of the rim where a limb leaves its body ``[3]``, and half the thickness of its root.

    Args:
        along: ``[3]`` unit, towards its tip.
    """
    nodes = np.flatnonzero(inside)
    depth = _from(graph, ~inside)[nodes]
    points = template.rest[nodes]
    few = np.sort(depth)[min(_FEW, len(depth)) - 1]
    rim = points[depth <= max(few, 1.5 * template.edge)]
    root = points[depth <= max(few, _ROOT * depth.max())]
    across = root - root.mean(axis=0)
    across -= np.outer(across @ along, along)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(across.T @ across / len(across)), 0.0))
    return rim.mean(axis=0), 1.4 * float(spread[1])


def joint_of(template: Template, inside: Mask, rim: Points, along: Points, radius: float) -> Points:
    """Where a limb turns: behind its rim, a share of how thick the body is there. ``[3]``

    Args:
        inside: ``[M]`` nodes of the limb.
        rim: ``[3]`` middle of where it leaves the body.
        along: ``[3]`` unit, towards its tip.
        radius: half the thickness of its root.
    """
    normals = vertex_normals(template.rest, template.triangles)
    out = template.rest - rim
    behind = -out @ along
    off = np.linalg.norm(out + np.outer(behind, along), axis=1)
    beyond = behind > max(2.0 * radius, 2.0 * template.edge)
    wall = ~inside & beyond & (off < max(radius, 2.0 * template.edge)) & (normals @ along < -0.3)
    thick = float(behind[wall].min()) if wall.any() else 0.0
    return rim - float(np.clip(_DEEP * thick, radius, _DEEPEST * radius)) * along


class Waist(NamedTuple):
    """What lies before the place where a limb ends.

    Attributes:
        inside: ``[M]`` nodes.
        is_narrow: whether it is wider on both sides of that place; otherwise it becomes far wider there.
    """

    inside: Mask
    is_narrow: bool


def waist_behind(template: Template, graph: sparse.csr_matrix, tip: int, least: float) -> Waist | None:
    """Where what ends in a tip is cut off: a head before its neck, a tail before its body.

    A waist is the narrowest place that is wider on both sides of it, else the first behind a bulge, else the place
    from which a limb becomes far wider than it is on the way there. None where there is no such place either.

    Args:
        tip: a node.
        least: share of the surface that lies before it, at least.
    """
    distance = dijkstra(graph, directed=False, indices=tip)
    step = max(_STEP * float(np.ptp(template.rest, axis=0).max()), 1.2 * template.edge)
    girths = np.bincount((distance / step).astype(int), template.areas) / step
    before = np.cumsum(girths) / girths.sum()
    places = [place for place in range(2, len(girths) - 2) if least < before[place - 1] < _LARGEST]
    if not places:
        return None
    widest = np.maximum.accumulate(girths)
    behind = np.where(before < _BODY, girths, 0.0)[::-1]
    behind = np.maximum.accumulate(behind)[::-1]
    narrow = [float(girths[place] / max(min(widest[place - 1], behind[place]), 1e-9)) for place in places]
    if min(narrow) < _WAIST:
        waist = places[int(np.argmin(narrow))]
        bulge = int(girths[:waist].argmax())
        first = bulge + int(np.flatnonzero(girths[bulge : waist + 1] <= _AS_NARROW * girths[waist])[0])
        return Waist(distance < (first + 0.5) * step, True)
    for place in places:
        if girths[place : place + 3].max() < _WAIST * widest[place - 1]:
            return Waist(distance < (place + 0.5) * step, True)
    for place in places:
        if place > 2 and girths[place] > _FLARE * float(np.median(girths[2:place])):
            return Waist(distance < place * step, False)
    return None


def crown_of(template: Template) -> Mask | None:
    """What stands on the highest narrow place of something upright: a head on its neck. ``[M]``"""
    above = template.rest[:, 1] - template.rest[:, 1].min()
    step = max(_STEP * float(np.ptp(template.rest, axis=0).max()), 1.2 * template.edge)
    slices = (above / step).astype(int)
    areas = np.maximum(np.bincount(slices, template.areas), 1e-12)
    x, z = (template.rest[:, axis] for axis in (0, 2))
    middles = [(np.bincount(slices, template.areas * place) / areas)[slices] for place in (x, z)]
    out = np.hypot(x - middles[0], z - middles[1])
    girths = np.bincount(slices, template.areas * out) / areas
    over = 1.0 - np.cumsum(areas) / areas.sum()
    places = [place for place in range(1, len(girths) - 1) if _CROWN[0] < over[place] < _CROWN[1]]
    narrow = [float(girths[p] / min(girths[:p].max(), girths[p + 1 :].max())) for p in places]
    if not narrow or min(narrow) > _NECK:
        return None
    highest = max(number for number, value in enumerate(narrow) if value <= _NECK)
    lowest = max((number for number in range(highest) if narrow[number] > _NECK), default=-1) + 1
    return np.asarray(slices > places[lowest + int(np.argmin(narrow[lowest : highest + 1]))])


def _is_loose(template: Template, inside: Mask) -> bool:
    """Whether a limb meets its body at bonds alone, nearly."""
    ends = (inside[template.links], inside[template.bonds.pairs])
    links, bonds = (int((pairs[:, 0] != pairs[:, 1]).sum()) for pairs in ends)
    return bonds > _LOOSE * (links + bonds) or links + bonds == 0


def _from(graph: sparse.csr_matrix, nodes: Mask, limit: float = np.inf) -> Points:
    """Distance of every node to the nearest of some. ``[M]``"""
    found = dijkstra(graph, directed=False, indices=np.flatnonzero(nodes), min_only=True, limit=limit)
    return np.asarray(np.minimum(found, limit))
