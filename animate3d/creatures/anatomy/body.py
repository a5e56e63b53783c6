"""A body whose parts were found: what moves need to know about a mesh that nobody rigged."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from animate3d.creatures.anatomy.branches import Branch, find_branches, mean_distances, node_graph, without_twigs
from animate3d.creatures.anatomy.facing import STRAIGHT, SURE, chosen, evenly, facings, symmetry
from animate3d.creatures.anatomy.joints import crown_of, joint_of, root_of, share_of, waist_behind
from animate3d.creatures.anatomy.naming import Limb, is_head, names_of, sides_of
from animate3d.creatures.anatomy.pieces import find_jaws, find_lids, find_propellers, find_turrets
from animate3d.creatures.anatomy.stilts import find_stilts, find_stilts_apart, halves
from animate3d.creatures.anatomy.wheels import find_wheels
from animate3d.creatures.figures.part import Part
from animate3d.creatures.figures.plan import hinge_for
from animate3d.creatures.rigs import FRONT, LEFT, UP
from animate3d.motion.template import Template
from animate3d.rotations import rotation_matrices

Points = NDArray[np.float64]

_RING = 0.15
"""Share of a branch, from where it begins, whose middle is the joint."""
_SQUARE = {"lid", "propeller"}
"""What a body may have without any front."""
_MANY = {"petal", "tentacle"}
"""Limbs of which there are a few alike."""
_MIDDLE = 0.25
"""How much nearer to the plane of symmetry than the root of a limb its skin may be."""
_CUT_HEAD = 0.35
"""Share of the surface above which a head has to end at a waist."""
_WAISTED = {"head": 0.03, "tail": 0.015}
"""What ends at a waist, and the least share of the surface that lies before it."""
_HEAD = 1.7
"""Length of a head with ears, in distances of its middle from its joint."""
_UNEVEN = 1.15
"""How much longer than its fellow a limb of a pair may be."""
_TIP = 0.06
"""Share of a branch whose middle is its tip."""
_MANY_LEGS = 4
_THIN, _THICK = 0.5, 0.6
"""Width of a tail against its length, at most, and of a head, at least, where these tell how a body faces."""
_FOOT = 0.25
"""Diameter of a foot that looks like a wheel, against the length of its leg, at most."""


Extras = Sequence[tuple[Part, Points]]


@dataclass(frozen=True, eq=False)
class Body:
    """Parts of a mesh, y up and facing +z.

    Attributes:
        parts: the trunk first.
        shares: ``[N, P]`` how much each vertex follows each part, rows sum to 1.
        turn: ``[3, 3]`` rotation from the given axes to those in which it stands and faces +z.
        extras: finds the parts of a name that count only where they are asked for, and how much each vertex ``[N]``
            follows them.
        plain: finds the same where heads and tails are limbs like any others.
        squared: finds it facing less than half a right angle away from +z, if that is another way.
        on_legs: finds the same where its wheels are the feet of legs, if they may be.
        is_backward: what was taken for its head looks like a tail, and the other way round.
        fronted: its shape tells where it faces.
    """

    parts: tuple[Part, ...]
    shares: Points
    turn: Points = field(default_factory=lambda: np.eye(3))
    extras: Callable[[str], Extras] = lambda name: ()
    plain: Callable[[], Body] | None = None
    squared: Callable[[], Body] | None = None
    on_legs: Callable[[], Body] | None = None
    is_backward: bool = False
    fronted: bool = False

    @property
    def yaw(self) -> float:
        """Where it faces as it was given, degrees from +z towards +x; 0 where it lies and has to be turned upright."""
        if self.turn[1, 1] < 1.0 - 1e-6:
            return 0.0
        front = self.turn.T @ FRONT
        return float(np.rad2deg(np.arctan2(front[0], front[2])))

    @property
    def posture(self) -> str:
        """How it was taken to stand, in words for the user."""
        if self.turn[1, 1] < 1.0 - 1e-6:
            return "which was taken to lie on its back or its face"
        return f"which was taken to face azimuth {round(self.yaw)}°"

    def weights(self, points: Points) -> Points:
        """`shares`; the points have to be the vertices."""
        return self.shares

    def count(self, name: str) -> int:
        """How many parts have a name."""
        return sum(part.name == name for part in self.parts)

    def pairs_of(self, *names: str) -> int:
        """How many parts of some names, such as legs, there are on the side that has fewer."""
        return min(sum(part.name in names and part.side == side for part in self.parts) for side in (-1, 1))

    def asked_for(self, names: Collection[str]) -> Body:
        """The same body with propellers, lids and jaws, where these are among the names and it has none yet.

        Where petals or tentacles are, heads and tails may be some of them; where legs are, small wheels are their feet.
        """
        if self.squared is not None and names and set(names) <= _SQUARE:
            return self.squared().asked_for(names)
        if self.on_legs is not None and "leg" in names:
            return replace(self.on_legs(), turn=self.turn, fronted=self.fronted).asked_for(names)
        if self.plain is not None and _MANY & set(names):
            return replace(self.plain(), turn=self.turn)
        parts, shares = list(self.parts), self.shares
        for name in names:
            for part, follows in () if self.count(name) else self.extras(name):
                parts.append(part)
                shares = np.column_stack([shares * (1.0 - follows[:, None]), follows])
        return replace(self, parts=tuple(parts), shares=shares)

    def called(self, names: Mapping[str, str]) -> Body:
        """The same body where parts are called something else, and swing as such parts do."""

        def renamed(part: Part) -> Part:
            if (name := names.get(part.name)) is None:
                return part
            around = float(np.arctan2(part.along[2], part.along[0])) / (2 * np.pi) % 1.0
            return replace(part, name=name, hinge=hinge_for(name, part.along, part.along), order=around)

        return replace(self, parts=tuple(renamed(part) for part in self.parts))


def find_bodies(
    vertices: Points, triangles: NDArray[np.integer], groups: NDArray[np.integer], facing: float | None = None
) -> Iterator[Body]:
    """The parts of a mesh as it stands, then as if it lay on its back, then on its face.

    It is turned to where it faces (`facings`), or to its left or right where more legs or wheels make pairs so. All of
    this turns with it, but for what the file gives as front where its shape hardly tells.

    Args:
        vertices: ``[N, 3]``, y up, the front towards +z.
        triangles: ``[T, 3]``
        groups: ``[N]`` representative id of coincident vertices.
        facing: where it faces, degrees from +z towards +x, where that is known.
    """
    # It lies down about its own left, so that how it is found to lie turns with it.
    straight = facing if facing is not None else symmetry(evenly(vertices, triangles))
    for pitch in (0.0, 90.0, -90.0):
        lying = rotation_matrices(np.deg2rad(pitch) * LEFT)
        if pitch:
            lying = lying @ rotation_matrices(np.deg2rad(-straight) * UP)
        if facing is not None:
            yaw = 0.0 if pitch else facing
            yield replace(_facing(vertices, triangles, groups, lying, yaw, likely=1.0), fronted=True)
            continue
        sides = facings(evenly(vertices @ lying.T, triangles))
        side = chosen(sides)
        yaw = 0.0 if abs(side.yaw) <= STRAIGHT else side.yaw
        best = _facing(vertices, triangles, groups, lying, yaw, sides[0].likely)
        best = replace(best, fronted=sides[0].likely >= SURE)
        if yaw:
            # What opens or spins without a head or legs faces as the cameras do, as nearly as its sides allow.
            square = (yaw + 45.0) % 90.0 - 45.0
            squared = partial(_facing, vertices, triangles, groups, lying, square)
            best = replace(best, squared=squared if square != yaw else None)
        if sides[0].likely < SURE:  # it may look to its own left or right
            across = [other for other in sides if abs(abs(_between(other.yaw, yaw)) - 90.0) < 45.0]
            aside = _facing(vertices, triangles, groups, lying, across[0].yaw)
            best = aside if aside.pairs_of("leg", "wheel") > best.pairs_of("leg", "wheel") else best
        yield best


def _between(yaw: float, other: float) -> float:
    """From one yaw to another, within a half turn."""
    return (yaw - other + 180.0) % 360.0 - 180.0


def _facing(
    points: Points,
    triangles: NDArray[np.integer],
    groups: NDArray[np.integer],
    lying: Points,
    yaw: float,
    likely: float = 0.0,
) -> Body:
    """The parts of a mesh that lies and faces somewhere, the latter in degrees."""
    turn = rotation_matrices(np.deg2rad(-yaw) * UP) @ lying
    body = find_body(points @ turn.T, triangles, groups)
    if body.is_backward and likely < SURE:
        around = rotation_matrices(np.pi * UP) @ turn
        other = find_body(points @ around.T, triangles, groups)
        if not other.is_backward:
            return replace(other, turn=around)
    return replace(body, turn=turn)


def find_body(vertices: Points, triangles: NDArray[np.integer], groups: NDArray[np.integer]) -> Body:
    """The parts of a mesh that stands and faces +z.

    Args:
        vertices: ``[N, 3]``, y up.
        triangles: ``[T, 3]``
        groups: ``[N]`` representative id of coincident vertices.
    """
    template = Template(vertices, np.asarray(triangles), np.asarray(groups), np.zeros((len(vertices), 3)))
    low, high = template.rest.min(axis=0), template.rest.max(axis=0)
    trunk = Part("trunk", -1, 0.5 * (low + high), UP, FRONT, float(high[1] - low[1]))
    wheels = find_wheels(template)
    graph = node_graph(template)
    height = mean_distances(template, graph)
    branches = find_branches(graph, height)
    limbs = {id(branch): _limb(template, height, branch) for branch in branches}
    size, middle = float((high - low).max()), 0.5 * float(low[0] + high[0])

    def sides(of: list[Branch]) -> list[int]:
        return sides_of([limbs[id(branch)] for branch in of], size, middle)

    single = without_twigs(branches, sides, height)
    names = names_of([limbs[id(branch)] for branch in single], sides(single), low, high)
    found = zip(single, names, sides(single), strict=True)
    named = [_Named(branch, limbs[id(branch)], name, side) for branch, name, side in found]
    named = [_evened(found, named, template, height) for found in named]
    named = _with_stilts(named, template, graph)
    limbs_alone = [found.plain() for found in named if found.name]
    for branch in branches:
        named = _with_head(branch, limbs[id(branch)], named, template, graph)
    named = _crowned(named, template, bool(wheels))
    on_legs = named if wheels and _is_on_legs(named, wheels) else []
    if wheels:  # what stands on wheels has no legs, and what is left of it may be an arm
        rolling = set(np.concatenate([nodes for _, nodes in wheels]).tolist())
        named = [found for found in named if found.name != "leg" and not rolling & set(found.branch.nodes.tolist())]
    return replace(
        _assembled(template, graph, trunk, named, wheels),
        plain=lambda: _assembled(template, graph, trunk, limbs_alone, wheels),
        is_backward=_is_backward(named, template),
        on_legs=(lambda: _assembled(template, graph, trunk, on_legs, [])) if on_legs else None,
    )


@dataclass(frozen=True, eq=False)
class _Named:
    """A branch with its shape and what it is.

    It sits on the trunk where ``carried_by`` is None. One that is ``apart`` grew together with that of the other side,
    one that is ``cut`` ends where it should.
    """

    branch: Branch
    limb: Limb
    name: str
    side: int
    carried_by: Branch | None = None
    apart: bool = False
    cut: bool = False
    is_limb: bool = False

    def plain(self) -> _Named:
        """The same where it is taken for a limb like any other."""
        return replace(self, cut=True, is_limb=True)


def _with_stilts(named: list[_Named], template: Template, graph: sparse.csr_matrix) -> list[_Named]:
    """The named branches, with more legs where more are seen from below."""
    found = find_stilts(template, graph)
    apart = False
    if not found and len({leg.side for leg in named if leg.name == "leg"} - {0}) < 2:
        found, apart = find_stilts_apart(template, graph), True
    above = template.rest[:, 1].max() - template.rest[:, 1]
    legs = [_Named(branch, _limb(template, above, branch), "leg", side, apart=apart) for branch, side in found]
    if len(legs) <= sum(leg.name == "leg" for leg in named):
        return named
    standing = set(np.concatenate([branch.nodes for branch, _ in found]).tolist())
    return [other for other in named if other.name != "leg" and other.branch.tip not in standing] + legs


def _is_on_legs(named: list[_Named], wheels: list[tuple[Part, NDArray[np.int64]]]) -> bool:
    """Whether wheels may be the feet of legs: pairs of long legs end in small ones."""
    ends = [(leg, wheel) for leg in named for wheel, _ in wheels if leg.name == "leg" and leg.side == wheel.side]
    return {leg.side for leg, wheel in ends if 2 * wheel.length < _FOOT * leg.limb.length} >= {-1, 1}


def _is_backward(named: list[_Named], template: Template) -> bool:
    """Whether what stands on four legs or more has a thick tail and a thin head, and so looks the other way."""
    ends = {found.name: found for found in named if found.name in _WAISTED}
    if len(ends) < len(_WAISTED) or sum(found.name == "leg" for found in named) < _MANY_LEGS:
        return False
    head, tail = ends["head"], ends["tail"]
    thin, thick = (found.limb.width / max(found.limb.length, 1e-9) for found in (head, tail))
    head_area, tail_area = (float(template.areas[found.branch.nodes].sum()) for found in (head, tail))
    return thin < _THIN and thick > max(_THICK, 2 * thin) and tail_area > 0.5 * head_area


def _evened(found: _Named, named: list[_Named], template: Template, height: Points) -> _Named:
    """A limb that reaches no farther into the body than the one that it makes a pair with."""
    middle = 0.5 * float(template.rest[:, 0].min() + template.rest[:, 0].max())
    mirrored = found.limb.tip * [-1, 1, 1] + [2 * middle, 0, 0]
    pair = [other for other in named if (other.name, other.side) == (found.name, -found.side) and found.side]
    if not pair:
        return found
    other = min(pair, key=lambda other: float(np.linalg.norm(other.limb.tip - mirrored)))
    branch, reach = found.branch, float(height[other.branch.tip] - other.branch.level)
    level = max(branch.level, float(height[branch.tip]) - _UNEVEN * reach)
    cut = replace(branch, nodes=branch.nodes[height[branch.nodes] > level], level=level)
    return replace(found, branch=cut, limb=_limb(template, height, cut))


def _with_head(
    branch: Branch, limb: Limb, named: list[_Named], template: Template, graph: sparse.csr_matrix
) -> list[_Named]:
    """The named branches, with one that carries some of them if that is a head with ears."""
    nodes = set(branch.nodes.tolist())
    inside = [found for found in named if found.name and found.branch.tip in nodes and found.branch is not branch]
    outside = [found.name for found in named if found not in inside]
    share = float(template.areas[branch.nodes].sum() / template.areas.sum())
    arms = {found.side for found in inside if found.name in ("arm", "wing")}
    if not arms >= {-1, 1}:
        return named
    if share > _CUT_HEAD and (waist := waist_behind(template, graph, branch.tip, _WAISTED["head"])) is not None:
        share = float(template.areas[waist.inside].sum() / template.areas.sum()) if waist.is_narrow else share
    if not is_head([found.name for found in inside], outside, share):
        return named
    others = [found for found in named if found not in inside]
    ears = [replace(found, name="ear", carried_by=branch) for found in inside if found.name != "head"]
    points = template.rest[branch.nodes]
    middle = replace(limb, tip=limb.root + _HEAD * (points.mean(axis=0) - limb.root))  # not the tip of an ear
    return [*others, _Named(branch, middle, "head", 0), *ears]


def _crowned(named: list[_Named], template: Template, rolls: bool) -> list[_Named]:
    """The named branches, with what stands on a neck as the head of something upright without legs."""
    stands = any(found.name == "leg" and found.side for found in named)
    if rolls or stands or (crown := crown_of(template)) is None:
        return named
    if any(found.name in ("head", "tail") and not crown[found.branch.tip] for found in named):
        return named
    nodes = np.flatnonzero(crown)
    nodes = nodes[np.argsort(template.rest[nodes, 1])]
    top = template.rest[nodes]
    neck, tip = top[: max(len(top) // 20, 3)].mean(axis=0), top.mean(axis=0)
    head = Branch(nodes, float(top[0, 1]), int(nodes[-1]))
    on_it = [found for found in named if crown[found.branch.tip]]
    ears = [replace(found, name="ear", carried_by=head) for found in on_it if found.side]
    limb = Limb(neck, neck + _HEAD * (tip - neck), 0.0, 0.0)
    others = [found for found in named if found not in on_it and found.name]
    return [*others, _Named(head, limb, "head", 0, cut=True), *ears]


def _assembled(
    template: Template,
    graph: sparse.csr_matrix,
    trunk: Part,
    named: list[_Named],
    wheels: list[tuple[Part, NDArray[np.int64]]],
) -> Body:
    """Parts and weights of named branches and of wheels."""
    named = sorted(
        (found for found in named if found.name), key=lambda found: (found.name == "ear", -found.limb.length)
    )
    parts = [trunk]
    legs = sorted((found for found in named if found.name == "leg"), key=lambda found: -found.limb.root[2])
    shares = np.zeros((len(named) + 1, template.n_nodes))
    places = {id(found.branch): place for place, found in enumerate(named, start=1)}
    for place, found in enumerate(named, start=1):
        parent = places.get(id(found.carried_by), 0)  # a head that holds a wheel is none, and leaves its ears behind
        order = (legs.index(found) // 2) / max((len(legs) + 1) // 2 - 1, 1) if found in legs else 0.0
        part, shares[place] = _attached(template, graph, found, parent, order, bool(legs))
        parts.append(part)
        if parent:
            shares[parent] *= 1.0 - shares[place]
    for wheel, nodes in wheels:
        parts.append(wheel)
        shares[:, nodes] = 0.0  # half of it turning with a limb, half on its axle, would collapse onto the axle
        shares = np.concatenate([shares, np.isin(np.arange(template.n_nodes), nodes)[None]])
    shares[1:] /= np.maximum(shares[1:].sum(axis=0), 1.0)
    shares[0] = 1.0 - shares[1:].sum(axis=0)
    head = next((number for number, part in enumerate(parts) if part.name == "head"), 0)

    def extras(name: str) -> Extras:
        found = {
            "propeller": lambda: find_propellers(template),
            "lid": lambda: find_lids(template),
            "jaw": lambda: find_jaws(template, head, shares[head]),
            "turret": lambda: find_turrets(template),
        }.get(name, list)()
        return [(extra.part, template.spread(extra.follows[None])[0]) for extra in found]

    return Body(tuple(parts), template.spread(shares).T, extras=extras)


def _attached(
    template: Template, graph: sparse.csr_matrix, found: _Named, parent: int, order: float, stands: bool
) -> tuple[Part, Points]:
    """The part of a named branch, and how much every node follows it ``[M]``."""
    inside, waist = np.zeros(template.n_nodes, dtype=bool), None
    graph = halves(template, graph) if found.apart else graph
    inside[found.branch.nodes] = True
    if found.side and not found.carried_by:
        inside &= ~_central(template, found)
    if found.name in _WAISTED and not (found.side or found.cut) and (stands or found.name == "head"):
        waist = waist_behind(template, graph, found.branch.tip, _WAISTED[found.name])
        if waist is not None and (waist.is_narrow or found.name == "tail"):
            inside = waist.inside
    rim, _ = root_of(template, graph, inside, found.limb.along)
    along = _towards(found.limb.tip, rim)
    rim, radius = root_of(template, graph, inside, along)
    # The branch of a head or of a tail without a waist reaches into the body already.
    in_body = not (found.side or found.is_limb) and (found.name == "head" or (found.name == "tail" and waist is None))
    joint = rim if in_body else joint_of(template, inside, rim, along, radius)
    along = _towards(found.limb.tip, joint)
    hinge, length = hinge_for(found.name, along, along), float(np.linalg.norm(found.limb.tip - joint))
    part = Part(found.name, parent, joint, along, hinge, length, found.side, order)
    return part, share_of(template, graph, inside, radius)


def _central(template: Template, found: _Named) -> NDArray[np.bool_]:
    """The middle of the body beside the root of a limb, such as a tail between thighs. ``[M]``"""
    middle = 0.5 * float(template.rest[:, 0].min() + template.rest[:, 0].max())
    off = (template.rest[:, 0] - middle) * found.side
    beside = (template.rest - found.limb.root) @ found.limb.along < 0.5 * found.limb.length
    return np.asarray(beside & (off < _MIDDLE * (found.limb.root[0] - middle) * found.side))


def _towards(tip: Points, root: Points) -> Points:
    """Unit direction. ``[3]``"""
    return np.asarray((tip - root) / max(float(np.linalg.norm(tip - root)), 1e-9))


def _limb(template: Template, height: Points, branch: Branch) -> Limb:
    """The shape of a branch."""
    points, reach = template.rest[branch.nodes], _reach(height, branch)
    joint = points[reach <= max(_RING, float(np.partition(reach, min(3, len(reach) - 1))[min(3, len(reach) - 1)]))]
    root, tip = joint.mean(axis=0), points[reach >= 1 - _TIP].mean(axis=0)
    along = (tip - root) / max(float(np.linalg.norm(tip - root)), 1e-9)
    across = points - root - np.outer((points - root) @ along, along)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(across.T @ across / len(across))[::-1], 0.0))
    return Limb(root, tip, 3.5 * float(spread[0]), 3.5 * float(spread[1]))


def _reach(height: Points, branch: Branch) -> Points:
    """How far along a branch its nodes are, 0 to 1."""
    return np.asarray((height[branch.nodes] - branch.level) / max(float(height[branch.tip] - branch.level), 1e-9))
