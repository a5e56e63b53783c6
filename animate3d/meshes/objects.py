"""The objects of one file: what does not touch is not one thing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from animate3d.errors import InputError
from animate3d.meshes.mesh import Mesh, Part
from animate3d.meshes.scene import Member, Scene, scene_of
from animate3d.meshes.topology import joined, share_edges

WAYS = ("one", "auto", "node")
_TOUCHES = 0.02  # of the diagonal: what is nearer belongs together
_SMALL = 0.02  # of the whole surface: an object with less is a crumb of the nearest one
_MANY = 64  # loose pieces from which on a file is foliage or debris rather than objects
_POINTS = 20000  # on the whole surface


def objects_of(mesh: Mesh, way: str) -> Mesh:
    """The mesh as a scene of its objects; as it is where it is one.

    Args:
        mesh: of one file.
        way: "one" takes the file for one object, "node" every node (OBJ object or group) with faces for one; "auto"
            takes nodes, or the loose pieces of a file of one node, for objects as far as they do not touch.

    Raises:
        InputError: another word, or "node" for a file that has no nodes.
    """
    if way not in WAYS:
        raise InputError(f"The way to tell objects apart `{way}` is unknown; known are: {', '.join(WAYS)}.")
    if way == "one":
        return mesh
    of_vertex, names = _nodes(mesh)
    if way == "node":
        if len(names) < 2:
            raise InputError(
                f"{mesh.source or 'The mesh'} has no nodes that could be objects; --objects auto goes by what does not "
                "touch."
            )
        return _scene(mesh, of_vertex, names)
    if len(names) < 2:
        of_vertex, names = _loose_pieces(mesh)
    if not 2 <= len(names) <= _MANY:
        return mesh
    group = _touching(mesh, of_vertex, len(names))
    count = int(group.max()) + 1
    firsts = [names[int(np.flatnonzero(group == number)[0])] for number in range(count)]
    return mesh if count < 2 else _scene(mesh, group[of_vertex], firsts)


def unique_names(names: Sequence[str]) -> list[str]:
    """Names no two of which are the same: a second ``ball`` becomes ``ball_2``."""
    found: list[str] = []
    for name in names:
        tried, number = name, 2
        while tried in found:
            tried, number = f"{name}_{number}", number + 1
        found.append(tried)
    return found


def _scene(mesh: Mesh, objects: np.ndarray, names: Sequence[str]) -> Scene:
    members = [Member(name, up_axis=mesh.up_axis) for name in unique_names(names)]
    scene = scene_of(mesh, members, objects)
    if not mesh.parts:  # exports show every object as a node
        scene.parts = [Part(name) for name in scene.names]
        scene.face_parts = objects[mesh.corners[mesh.face_starts[:-1]]]
    return scene


def _nodes(mesh: Mesh) -> tuple[np.ndarray, list[str]]:
    """The part of every vertex ``[N]``, numbered as those parts with faces are named; parts that share one are one."""
    if mesh.face_parts is None:
        return np.zeros(mesh.n_vertices, np.int64), [mesh.name]
    owner = np.repeat(mesh.face_parts, np.diff(mesh.face_starts))
    used = np.unique(mesh.face_parts)
    number = np.searchsorted(used, owner)
    of_vertex = np.full(mesh.n_vertices, -1)
    of_vertex[mesh.corners] = number
    pairs = np.stack([number, of_vertex[mesh.corners]], axis=1)
    group = joined(pairs[pairs[:, 0] != pairs[:, 1]], len(used))
    names = [mesh.parts[int(used[np.flatnonzero(group == k)[0]])].name for k in range(int(group.max()) + 1)]
    return _with_strays(group[of_vertex], of_vertex >= 0), names


def _loose_pieces(mesh: Mesh) -> tuple[np.ndarray, list[str]]:
    """The connected piece of every vertex ``[N]`` and names for them."""
    edges = share_edges(mesh.edges(), mesh.welded())
    used = np.zeros(mesh.n_vertices, bool)
    used[mesh.corners] = True
    found = joined(edges, mesh.n_vertices)
    order, number = np.unique(found[used], return_inverse=True)
    of_vertex = np.full(mesh.n_vertices, -1)
    of_vertex[used] = number
    return _with_strays(of_vertex, used), [f"object_{k + 1}" for k in range(len(order))]


def _with_strays(of_vertex: np.ndarray, used: np.ndarray) -> np.ndarray:
    """A vertex that no face uses goes with the one before it."""
    last = np.maximum.accumulate(np.where(used, np.arange(len(used)), -1))
    return of_vertex[np.where(last >= 0, last, int(np.argmax(used)))]


def _touching(mesh: Mesh, of_vertex: np.ndarray, count: int) -> np.ndarray:
    """The group of every unit ``[U]``: those that touch or enclose one another, and crumbs with what is nearest."""
    points, owner, areas = _samples(mesh, of_vertex, count)
    trees = [cKDTree(points[owner == unit]) for unit in range(count)]
    apart = np.full((count, count), np.inf)
    for a in range(count):
        for b in range(a):
            distance = trees[a].query(trees[b].data)[0]
            apart[a, b] = apart[b, a] = 0.0 if _encloses(trees[a], trees[b]) else float(distance.min())
    pairs = np.argwhere(apart < _TOUCHES * mesh.diagonal())
    group = joined(pairs, count)
    small = np.bincount(group, areas) < _SMALL * areas.sum()
    for unit in np.flatnonzero(small[group]) if not small.all() else []:
        near = np.where(small[group], np.inf, apart[unit])
        group[unit] = group[int(near.argmin())]
    return np.unique(group, return_inverse=True)[1]


def _samples(mesh: Mesh, of_vertex: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points on the surface ``[S, 3]``, the unit of each ``[S]``, and the area of every unit ``[U]``."""
    triangles = mesh.triangles()[0]
    a, b, c = (mesh.vertices[triangles[:, k]] for k in range(3))
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    generator = np.random.default_rng(0)
    chosen = generator.choice(len(triangles), _POINTS, p=area / area.sum())
    u, v = generator.uniform(size=(2, _POINTS, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    inside = a[chosen] + u * (b - a)[chosen] + v * (c - a)[chosen]
    unit = of_vertex[triangles[:, 0]]
    corners = np.unique(triangles)
    points = np.concatenate([inside, mesh.vertices[corners]])
    return points, np.concatenate([unit[chosen], of_vertex[corners]]), np.bincount(unit, area, count)


def _encloses(one: cKDTree, other: cKDTree) -> bool:
    """Whether the box of one lies in that of the other."""
    a, b = ((tree.data.min(axis=0), tree.data.max(axis=0)) for tree in (one, other))
    return bool(((a[0] >= b[0]).all() and (a[1] <= b[1]).all()) or ((b[0] >= a[0]).all() and (b[1] <= a[1]).all()))
