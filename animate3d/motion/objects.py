"""Several objects tracked together: they hide one another, but each is as rigid as it is by itself.

One surface is drawn and matched with the frames, so that what is in front hides what is behind. Nodes, links, bonds,
the balance of rigidity against what was seen, and the distance that a single view does not show belong to one object
each: nothing connects two of them.
"""

from __future__ import annotations

from copy import copy
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.motion.bonds import Bonds
from animate3d.motion.depth import DepthPrior
from animate3d.motion.rigid_fit import Anchors, Rays, RigidFit
from animate3d.motion.surfaces import Array, Ids, triangle_areas
from animate3d.motion.template import NODES, Surface, Template

_FEWEST = 400  # nodes of an object, however small a part of the scene it is


class Own(NamedTuple):
    """What belongs to one object of a scene.

    Attributes:
        number: of the object.
        template: of the object alone.
        vertices: ``[n]`` numbers of its vertices.
        nodes, triangles: where its nodes and its node triangles stand among those of the scene.
    """

    number: int
    template: Template
    vertices: Ids
    nodes: slice
    triangles: slice


class SceneTemplate(Template):
    """`Template` of several objects: their own templates one after the other.

    Args:
        surface: with the object of every vertex.
        nodes: how many there should be in all, about; shared by area, but every object has a few hundred.
    """

    def __init__(self, surface: Surface, *, nodes: int = NODES) -> None:
        assert surface.objects is not None
        self.vertices = np.asarray(surface.vertices, dtype=np.float64)
        of_triangle = surface.objects[surface.triangles[:, 0]]
        count = int(surface.objects.max()) + 1
        areas = np.bincount(of_triangle, triangle_areas(self.vertices, surface.triangles), count)
        self.own: list[Own] = []
        first_node = first_triangle = 0
        for number in np.unique(of_triangle).tolist():
            chosen = np.flatnonzero(surface.objects == number)
            share = max(round(nodes * areas[number] / areas.sum()), min(_FEWEST, nodes))
            alone = _template(surface, chosen, of_triangle == number, share)
            self.own.append(
                Own(
                    number,
                    alone,
                    chosen,
                    slice(first_node, first_node + alone.n_nodes),
                    slice(first_triangle, first_triangle + len(alone.triangles)),
                )
            )
            first_node += alone.n_nodes
            first_triangle += len(alone.triangles)
        templates = [own.template for own in self.own]
        self.rest = np.concatenate([t.rest for t in templates])
        self.colors = np.concatenate([t.colors for t in templates])
        self.areas = np.concatenate([t.areas for t in templates])
        self.edge = float(np.average([t.edge for t in templates], weights=[t.n_nodes for t in templates]))
        self.triangles = np.concatenate([own.template.triangles + own.nodes.start for own in self.own])
        self.links = self._links()
        self.bonds = Bonds(
            np.concatenate([own.template.bonds.pairs + own.nodes.start for own in self.own]),
            np.concatenate([t.bonds.firmness for t in templates]),
        )
        pieces = [int(t.pieces.max()) + 1 for t in templates]
        self.pieces = np.concatenate([t.pieces + sum(pieces[:k]) for k, t in enumerate(templates)])

    def _links(self) -> Ids:
        return np.concatenate([own.template.links + own.nodes.start for own in self.own])

    def painted(self) -> SceneTemplate:
        """See `Template.painted`."""
        other = copy(self)
        other.colors = np.concatenate([own.template.painted().colors for own in self.own])
        return other

    def untied(self) -> SceneTemplate:
        """See `Template.untied`."""
        other = copy(self)
        other.own = [own._replace(template=own.template.untied()) for own in self.own]
        other.links = other._links()
        return other

    def carry(self, nodes: Array, rotations: Array) -> tuple[Array, NDArray[np.float32]]:
        """See `Template.carry`."""
        moved = self.vertices.copy()
        turned = np.tile(np.eye(3, dtype=np.float32), (len(moved), 1, 1))
        for own in self.own:
            moved[own.vertices], turned[own.vertices] = own.template.carry(nodes[own.nodes], rotations[own.nodes])
        return moved, turned

    def carry_values(self, values: Array) -> Array:
        """See `Template.carry_values`."""
        carried = np.zeros((len(values), len(self.vertices)))
        for own in self.own:
            carried[:, own.vertices] = own.template.carry_values(values[:, own.nodes])
        return carried


class ObjectFits:
    """`RigidFit` of every object of a scene."""

    def __init__(self, template: SceneTemplate, *, joints: bool = False, bound: bool = False) -> None:
        self._own = template.own
        self._fits = [RigidFit(own.template, joints=joints, bound=bound) for own in template.own]

    def solve(self, start: Array, rays: Rays, stiffness: float, turns: int, anchors: Anchors | None = None) -> Array:
        """See `RigidFit.solve`."""
        found = np.empty_like(start)
        for own, fit in zip(self._own, self._fits, strict=True):
            first, end = own.triangles.start, own.triangles.stop
            mine = (rays.triangles >= first) & (rays.triangles < end)
            seen = Rays(*(np.ascontiguousarray(part[mine]) for part in rays))
            seen = seen._replace(triangles=seen.triangles - np.int32(first))
            known = None if anchors is None else Anchors(*(part[own.nodes] for part in anchors))
            found[own.nodes] = fit.solve(np.ascontiguousarray(start[own.nodes]), seen, stiffness, turns, known)
        return found

    def rotations(self, positions: Array) -> Array:
        """See `RigidFit.rotations`."""
        parts = [fit.rotations(positions[own.nodes]) for own, fit in zip(self._own, self._fits, strict=True)]
        return np.concatenate(parts)


class ObjectDepths:
    """`DepthPrior` of every object of a scene."""

    def __init__(self, template: SceneTemplate, cameras: Cameras, weight: float) -> None:
        self._own = template.own
        self._priors = [DepthPrior(own.template, cameras, weight) for own in template.own]

    def anchors(self, nodes: Array) -> Anchors:
        """See `DepthPrior.anchors`."""
        parts = [prior.anchors(nodes[own.nodes]) for own, prior in zip(self._own, self._priors, strict=True)]
        return Anchors(*(np.concatenate(values) for values in zip(*parts, strict=True)))

    def at_rest_depth(self, nodes: Array) -> Array:
        """See `DepthPrior.at_rest_depth`."""
        pairs = zip(self._own, self._priors, strict=True)
        return np.concatenate([prior.at_rest_depth(nodes[own.nodes]) for own, prior in pairs])


class ObjectMasks:
    """Which object every pixel shows: what was found on another object's pixel is not believed.

    Args:
        ids: ``[V, F, H, W]`` 0 for the background, k for object k - 1; of any size.
        cameras: ``[V]`` that the rays come from.
    """

    def __init__(self, ids: NDArray[np.integer], template: SceneTemplate, cameras: Cameras) -> None:
        self._ids = ids
        self._of_triangle = np.zeros(len(template.triangles), np.int64)
        for own in template.own:
            self._of_triangle[own.triangles] = own.number + 1
        self._eyes = cameras.positions.double().cpu().numpy()
        self._turns = cameras.viewmats[:, :3, :3].double().cpu().numpy()
        self._scale = cameras.focal.double().cpu().numpy()[:, None] / [cameras.width, cameras.height]

    def trusted(self, rays: Rays, frame: int) -> Rays:
        """The rays, without weight where the frame shows another object."""
        weights = rays.weights.copy()
        for v, eye in enumerate(self._eyes):
            seen = np.flatnonzero((rays.origins == eye).all(axis=1))
            local = rays.directions[seen] @ self._turns[v].T
            share = 0.5 + self._scale[v] * local[:, :2] / local[:, 2:]
            ids = self._ids[v, frame]
            x, y = ((share * ids.shape[::-1]).astype(int).clip(0, np.array(ids.shape[::-1]) - 1)).T
            other = ids[y, x] != self._of_triangle[rays.triangles[seen]]
            weights[seen[other & (ids[y, x] > 0)]] = 0.0
        return rays._replace(weights=weights)


def masks_of(ids: NDArray[np.integer] | None, template: Template, cameras: Cameras) -> ObjectMasks | None:
    """The masks of a scene, if there are any."""
    return ObjectMasks(ids, template, cameras) if ids is not None and isinstance(template, SceneTemplate) else None


Fit: TypeAlias = RigidFit | ObjectFits
Prior: TypeAlias = DepthPrior | ObjectDepths


def template_of(surface: Surface, *, nodes: int = NODES) -> Template:
    """The template of a surface, of one object or of several."""
    if surface.objects is None or (surface.objects == surface.objects[0]).all():
        return Template(*surface[:4], nodes=nodes, paint=surface.paint)
    return SceneTemplate(surface, nodes=nodes)


def fit_of(template: Template, *, joints: bool = False, bound: bool = False) -> Fit:
    """The solver of a template; ``joints`` and ``bound``: see `RigidFit`."""
    if isinstance(template, SceneTemplate):
        return ObjectFits(template, joints=joints, bound=bound)
    return RigidFit(template, joints=joints, bound=bound)


def prior_of(template: Template, cameras: Cameras, weight: float) -> Prior:
    """The prior of a template that one view sees."""
    several = isinstance(template, SceneTemplate)
    return ObjectDepths(template, cameras, weight) if several else DepthPrior(template, cameras, weight)  # type: ignore[arg-type]


def _template(surface: Surface, vertices: Ids, triangles: NDArray[np.bool_], nodes: int) -> Template:
    """Of some of the vertices and the triangles between them."""
    number = np.full(len(surface.vertices), -1)
    number[vertices] = np.arange(len(vertices))
    paint, own = surface.paint, np.flatnonzero(triangles)
    return Template(
        surface.vertices[vertices],
        number[surface.triangles[triangles]],
        surface.groups[vertices],
        surface.colors[vertices],
        nodes=nodes,
        paint=(lambda at, barycentrics: paint(own[at], barycentrics)) if paint else None,
    )
