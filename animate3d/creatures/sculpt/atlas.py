"""UV atlas of a quad mesh: flat-ish charts, each projected along one direction, packed into the unit square."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, sparse
from scipy.sparse.csgraph import connected_components

from animate3d.creatures.sculpt.fields import Points
from animate3d.creatures.sculpt.surface import Quads

_SMALLEST_CHART = 30  # faces; smaller ones join a neighbour
_AT_ONCE = 1 << 20  # texels of bounding boxes
_STEEPEST = 0.25  # least cosine between a face and its chart's direction when charts are joined


def unwrap(
    vertices: Points, quads: Quads, groups: NDArray[np.int64], directions: dict[int, Points], resolution: int
) -> NDArray[np.float64]:
    """Cut a mesh into charts and pack them.

    Args:
        vertices: ``[N, 3]``
        quads: ``[P, 4]``
        groups: ``[P]``; a chart never crosses groups.
        directions: the projection directions ``[D, 3]`` a group may use.
        resolution: texels along a side of the texture; charts stay four texels apart.

    Returns:
        UVs of the faces' corners ``[P, 4, 2]`` in the unit square, v up.
    """
    normals = quad_normals(vertices, quads)
    neighbours = _face_neighbours(quads)
    towards, offset = [], 0
    score = np.full((len(quads), sum(len(d) for d in directions.values())), -np.inf)
    for group, candidates in directions.items():
        members = groups == group
        score[members, offset : offset + len(candidates)] = normals[members] @ np.asarray(candidates).T
        towards.append(np.asarray(candidates, dtype=float))
        offset += len(candidates)
    labels = _smooth_labels(score, neighbours)
    labels = _absorb_small_charts(labels, score, neighbours)
    _, charts = _components(labels, neighbours)
    axes = np.concatenate(towards)
    flat = [_flatten(vertices, quads[charts == c], axes[labels[charts == c][0]]) for c in range(charts.max() + 1)]
    placed = _pack(flat, margin=4.0 / resolution)
    uvs = np.empty((*quads.shape, 2))
    for c, chart in enumerate(placed):
        uvs[charts == c] = chart
    return uvs


def quad_normals(vertices: Points, quads: Quads) -> Points:
    """Unit normals of quads ``[P, 3]``."""
    corners = vertices[quads]
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def bake(uvs: Points, values: Points, resolution: int) -> tuple[Points, NDArray[np.bool_], NDArray[np.int64]]:
    """Interpolate values given at triangle corners onto the texels of the atlas.

    Args:
        uvs: ``[T, 3, 2]``
        values: ``[T, 3, C]``

    Returns:
        values ``[H, W, C]`` (row 0 is the top, v = 1; texels outside take those of the nearest inside), the texels
        whose centre a triangle covers ``[H, W]``, and by how many triangles ``[H, W]``.
    """
    image = np.zeros((resolution * resolution, values.shape[-1]))
    count = np.zeros(resolution * resolution, dtype=np.int64)
    texels = np.stack([uvs[..., 0], 1.0 - uvs[..., 1]], axis=-1) * resolution - 0.5
    for members, x, y, weights in _covered(texels):
        at = y * resolution + x
        image[at] = np.einsum("nk,nkc->nc", weights, values[members])
        count += np.bincount(at, minlength=len(count))
    image, count = image.reshape(resolution, resolution, -1), count.reshape(resolution, resolution)
    covered = count > 0
    rows, columns = ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return image[rows, columns], covered, count


def _covered(texels: Points) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Points]]:
    """Texels whose centre lies in a triangle ``[T, 3, 2]``, many triangles at a time, in their order.

    Yields:
        the triangle ``[n]``, x and y ``[n]`` and the shares of its corners ``[n, 3]``.
    """
    a, b, c = texels.transpose(1, 0, 2)
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low, high = np.ceil(texels.min(axis=1)).astype(np.int64), np.floor(texels.max(axis=1)).astype(np.int64)
    wide = np.maximum(high - low + 1, 0)
    sizes = np.where(np.abs(area) < 1e-12, 0, wide.prod(axis=1))
    parts = np.cumsum(sizes) // _AT_ONCE
    for part in np.split(np.arange(len(sizes)), np.flatnonzero(np.diff(parts)) + 1):
        of = np.repeat(part, sizes[part])
        place = np.arange(len(of)) - np.repeat(np.cumsum(sizes[part]) - sizes[part], sizes[part])
        x, y = low[of, 0] + place % wide[of, 0], low[of, 1] + place // wide[of, 0]
        w1 = ((x - a[of, 0]) * (c[of, 1] - a[of, 1]) - (y - a[of, 1]) * (c[of, 0] - a[of, 0])) / area[of]
        w2 = ((b[of, 0] - a[of, 0]) * (y - a[of, 1]) - (b[of, 1] - a[of, 1]) * (x - a[of, 0])) / area[of]
        inside = (w1 >= 0) & (w2 >= 0) & (w1 + w2 <= 1)
        yield of[inside], x[inside], y[inside], np.stack([1 - w1 - w2, w1, w2], axis=-1)[inside]


def _face_neighbours(quads: Quads) -> sparse.csr_matrix:
    """Faces that share an edge. ``[P, P]`` of ones"""
    edges = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    _, number = np.unique(edges, axis=0, return_inverse=True)
    faces = np.repeat(np.arange(len(quads)), 4)
    incidence = sparse.csr_matrix((np.ones(len(faces)), (faces, number.ravel())))
    shared = (incidence @ incidence.T).tocoo()
    others = shared.row != shared.col
    return sparse.csr_matrix((shared.data[others], (shared.row[others], shared.col[others])), shape=shared.shape)


def _smooth_labels(score: Points, neighbours: sparse.csr_matrix, rounds: int = 12) -> NDArray[np.int64]:
    """The best direction of every face, with a vote of its neighbours so that chart borders are short."""
    labels = score.argmax(axis=1)
    share = sparse.diags(1.0 / np.asarray(neighbours.sum(axis=1)).ravel()) @ neighbours
    for _ in range(rounds):
        votes = share @ np.eye(score.shape[1])[labels]
        labels = (score + 0.6 * votes).argmax(axis=1)
    return labels


def _components(labels: NDArray[np.int64], neighbours: sparse.csr_matrix) -> tuple[int, NDArray[np.int64]]:
    links = neighbours.tocoo()
    same = labels[links.row] == labels[links.col]
    graph = sparse.coo_matrix((links.data[same], (links.row[same], links.col[same])), shape=links.shape)
    return connected_components(graph, directed=False)


def _absorb_small_charts(labels: NDArray[np.int64], score: Points, neighbours: sparse.csr_matrix) -> NDArray[np.int64]:
    """Small charts take the direction of the neighbour they share most border with, where it faces them enough."""
    labels = labels.copy()
    tried: set[bytes] = set()
    while True:
        count, charts = _components(labels, neighbours)
        sizes = np.bincount(charts, minlength=count)
        for chart in np.argsort(sizes, kind="stable"):
            members = np.flatnonzero(charts == chart)
            if sizes[chart] >= _SMALLEST_CHART or members.tobytes() in tried:
                continue
            border = neighbours[members].tocoo().col
            votes = np.bincount(labels[border[charts[border] != chart]], minlength=score.shape[1]).astype(float)
            votes[(score[members].min(axis=0) < _STEEPEST)] = 0
            tried.add(members.tobytes())
            if votes.max() > 0:
                labels[members] = votes.argmax()
                break
        else:
            return labels


def _flatten(vertices: Points, quads: Quads, direction: Points) -> Points:
    """Project faces along a direction, turned so that the bounding rectangle is small and lies down. ``[p, 4, 2]``"""
    normal = quad_normals(vertices, quads).mean(axis=0) + direction
    normal /= np.linalg.norm(normal)
    helper = np.eye(3)[np.abs(normal).argmin()]
    right = np.cross(helper, normal)
    right /= np.linalg.norm(right)
    flat = vertices[quads] @ np.stack([right, np.cross(normal, right)]).T
    best: Points | None = None
    for angle in np.linspace(0.0, np.pi, 60, endpoint=False):
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        turned = flat @ rotation.T
        extent = _extent(turned)
        if extent[0] >= extent[1] and (best is None or np.prod(extent) < np.prod(_extent(best))):
            best = turned - _corner(turned)
    assert best is not None  # every rectangle lies down at some angle
    return best


def _pack(charts: list[Points], margin: float) -> list[Points]:
    """Put charts on a large common scale at which they fit into the unit square, ``margin`` apart."""
    cells = round(1.0 / margin)
    low, high, best = 0.0, 1.0 / max(float(np.ptp(chart)) for chart in charts), None
    for _ in range(10):
        scale = 0.5 * (low + high)
        placed = _place([chart * scale for chart in charts], cells)
        if placed is None:
            high = scale
        else:
            low, best = scale, placed
    assert best is not None  # small enough charts always fit
    return best


def _place(charts: list[Points], cells: int) -> list[Points] | None:
    """Charts ``[p, 4, 2]`` moved (and turned by right angles) to free places, the largest first; None if one has none.

    Works on a grid of cells that a chart covers wholly or not at all, and keeps the cells around a chart free.
    """
    occupied = np.zeros((cells, cells))
    placed: list[Points] = [np.zeros(0)] * len(charts)
    footprints = [_footprint(chart, cells) for chart in charts]
    if sum(int(mask.sum()) for mask in footprints) > cells**2:
        return None
    size = (fft.next_fast_len(cells, real=True),) * 2
    for index in sorted(range(len(charts)), key=lambda i: -footprints[i].sum()):
        options = []
        spectrum = fft.rfft2(occupied, size)
        for turns in range(4):
            mask = _footprint(_quarter_turns(charts[index], turns), cells) if turns else footprints[index]
            grown = np.pad(mask, 1)
            grown = ndimage.binary_dilation(grown, np.ones((3, 3))).astype(float)
            if max(grown.shape) > cells:
                continue
            # Correlation; where the chart stays inside nothing comes in from the other side.
            overlap = fft.irfft2(spectrum * fft.rfft2(grown, size).conj(), size)
            free = np.argwhere(overlap[: cells - grown.shape[0] + 1, : cells - grown.shape[1] + 1] < 0.5)
            if len(free):
                corner = free[(free + mask.shape).max(axis=1).argmin()]  # stay near the first corner
                options.append(((corner + mask.shape).max(), turns, corner, mask))
        if not options:
            return None
        _, turns, corner, mask = min(options, key=lambda option: option[:2])
        y, x = corner + 1
        occupied[y : y + mask.shape[0], x : x + mask.shape[1]] += mask
        placed[index] = _quarter_turns(charts[index], turns) + np.array([x, y]) / cells
    return placed


def _quarter_turns(chart: Points, turns: int) -> Points:
    """A chart turned, its lower left corner at the origin."""
    for _ in range(turns):
        chart = np.stack([-chart[..., 1], chart[..., 0]], axis=-1)
    return chart - _corner(chart)


def _corner(chart: Points) -> Points:
    """The least of each coordinate, one after the other: over short rows NumPy is slow. ``[2]``"""
    return np.array([chart[..., 0].min(), chart[..., 1].min()])


def _extent(chart: Points) -> Points:
    """Width and height of a chart. ``[2]``"""
    return -_corner(-chart) - _corner(chart)


def _spread(count: int) -> Points:
    """Shares of a quad's corners in points spread evenly over it, on its edges too. ``[count * count, 4]``"""
    u, v = np.meshgrid(*[np.linspace(0.0, 1.0, count)] * 2)
    return np.stack([(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v], axis=-1).reshape(-1, 4)


_INSIDE = _spread(9)


def _footprint(chart: Points, cells: int) -> NDArray[np.bool_]:
    """Cells that the quads of a chart touch. ``[rows, columns]``"""
    points = [sum((_INSIDE[:, k, None] * chart[:, k, axis] for k in range(4)), np.zeros(1)) for axis in (0, 1)]
    columns, rows = ((along * cells).astype(int) for along in points)
    mask = np.zeros((rows.max() + 1, columns.max() + 1), dtype=bool)
    mask[rows, columns] = True
    return mask
