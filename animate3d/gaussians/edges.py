"""Edge lengths of a mesh, and the JSON file that mesh animation reads them from (section 3 of the method)."""

from __future__ import annotations

import os

import numpy as np

from animate3d.errors import InputError
from animate3d.files import atomic_file, read_json
from animate3d.meshes.mesh import Mesh

EdgeLengths = dict[int, dict[int, float]]


def _directed_edges(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges in both directions, grouped by their first vertex: starts, ends, lengths ``[2 E]``."""
    edges = mesh.welded_edges()
    start, end = np.concatenate([edges, edges[:, ::-1]]).T
    order = np.lexsort((end, start))
    start, end = start[order], end[order]
    return start, end, np.linalg.norm(mesh.vertices[start] - mesh.vertices[end], axis=1)


def edge_lengths(mesh: Mesh) -> EdgeLengths:
    """``{vertex: {neighbour: length}}`` over the polygons' edges; vertices without edges are left out.

    Coincident copies of a vertex share their neighbours, so that meshes with split seams stay connected.
    """
    start, end, length = _directed_edges(mesh)
    vertices, first = np.unique(start, return_index=True)
    bounds = np.append(first, len(start)).tolist()
    neighbours, lengths = end.tolist(), length.tolist()
    return {
        vertex: dict(zip(neighbours[a:b], lengths[a:b], strict=True))
        for vertex, a, b in zip(vertices.tolist(), bounds[:-1], bounds[1:], strict=True)
    }


def save_edges(mesh: Mesh, path: str | os.PathLike[str]) -> None:
    """Write `edge_lengths` as JSON with string keys."""
    start, end, length = _directed_edges(mesh)
    vertices, degrees = np.unique(start, return_counts=True)
    # One format string for the whole file: 20 times faster than walking dictionaries.
    rows = {d: '"%d": {' + ", ".join(['"%d": %.9g'] * d) + "}" for d in np.unique(degrees).tolist()}
    template = ",\n".join(rows[d] for d in degrees.tolist())
    values = np.empty(2 * len(start) + len(vertices), dtype=object)
    head = np.cumsum(2 * degrees + 1) - (2 * degrees + 1)
    is_pair = np.ones(len(values), dtype=bool)
    is_pair[head] = False
    values[head] = vertices.tolist()
    pairs = np.empty((len(start), 2), dtype=object)
    pairs[:, 0], pairs[:, 1] = end.tolist(), length.tolist()
    values[is_pair] = pairs.reshape(-1)
    with atomic_file(path) as temporary:
        temporary.write_text("{\n" + template % tuple(values) + "\n}\n")


def load_edges(path: str | os.PathLike[str], n: int) -> EdgeLengths:
    """Read an edge file for a model of ``n`` vertices; vertices that it leaves out have no neighbours.

    Returns:
        a dictionary with every vertex from 0 to n - 1.

    Raises:
        InputError: not an edge file, or of a mesh with more vertices.
    """
    value = read_json(path)
    try:
        read = {int(i): {int(j): float(length) for j, length in row.items()} for i, row in value.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not an edge file {{vertex: {{neighbour: length}}}} ({error}).") from error
    used = read.keys() | {j for row in read.values() for j in row}
    if used and (max(used) >= n or min(used) < 0):
        raise InputError(f"{path} has vertex {max(used)}, but the model has {n} vertices: it belongs to another mesh.")
    return {i: read.get(i, {}) for i in range(n)}
