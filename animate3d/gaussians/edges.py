"""Edge lengths of a mesh, and the JSON file that mesh animation reads them from.

In the published code: ``tools/mesh_animation/mesh2gaussian.py``.
"""

from __future__ import annotations

import itertools
import os

import numpy as np
from scipy.sparse import coo_matrix

from animate3d.errors import InputError
from animate3d.files import atomic_file, read_json
from animate3d.meshes.mesh import Mesh

EdgeLengths = dict[int, dict[int, float]]


def edge_table(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours of every vertex over the polygons' edges, in ascending order.

    Coincident copies of a vertex share their neighbours, so that meshes with split seams stay connected.

    Returns:
        starts ``[N + 1]``, neighbours ``[2 E]`` and edge lengths ``[2 E]``: those of vertex i stand at
        ``starts[i]:starts[i + 1]``.
    """
    low, high = np.ascontiguousarray(mesh.welded_edges().T, dtype=np.int32)
    x, y, z = (positions[low] - positions[high] for positions in mesh.vertices.T)
    length = np.sqrt(x * x + y * y + z * z)
    # The conversion keeps the order within a row: smaller neighbours first if the reversed edges come first.
    ends = np.concatenate([high, low]), np.concatenate([low, high])
    table = coo_matrix((np.concatenate([length, length]), ends), shape=(mesh.n_vertices, mesh.n_vertices)).tocsr()
    return table.indptr, table.indices, table.data


def edge_lengths(mesh: Mesh) -> EdgeLengths:
    """`edge_table` as ``{vertex: {neighbour: length}}``; vertices without edges are left out."""
    starts, neighbours, lengths = (part.tolist() for part in edge_table(mesh))
    return {
        vertex: dict(zip(neighbours[a:b], lengths[a:b], strict=True))
        for vertex, (a, b) in enumerate(itertools.pairwise(starts))
        if b > a
    }


def save_edges(mesh: Mesh, path: str | os.PathLike[str]) -> None:
    """Write `edge_lengths` as JSON with string keys."""
    starts, neighbours, lengths = edge_table(mesh)
    degrees = np.diff(starts)
    vertices = np.flatnonzero(degrees)
    degrees = degrees[vertices]
    # One format string for the whole file: much faster than walking dictionaries.
    rows = {d: '"%d": {' + ", ".join(['"%d": %.9g'] * d) + "}" for d in np.unique(degrees).tolist()}
    template = ",\n".join([rows[d] for d in degrees.tolist()])
    values = np.empty(2 * len(neighbours) + len(vertices), dtype=object)
    is_head = np.zeros(len(values), dtype=bool)
    is_head[2 * starts[vertices] + np.arange(len(vertices))] = True
    values[is_head] = vertices.tolist()
    pairs = np.empty((len(neighbours), 2), dtype=object)
    pairs[:, 0], pairs[:, 1] = neighbours.tolist(), lengths.tolist()
    values[~is_head] = pairs.reshape(-1)
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
