"""Mesh to Gaussians on 100k vertices: ours against the plain walk, in one run.

    python benchmarks/mesh2gaussian.py [--vertices 100000] [--repeats 15]

The compared work is the same: colours, scales and edge lengths in memory. Reading the OBJ and writing the ply and the
edge JSON are timed beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from plain_mesh import mesh_to_gaussians

from animate3d.gaussians import edge_lengths, edge_table, from_mesh, save_edges, save_ply
from animate3d.meshes import Material, Mesh, load_mesh, save_obj


def bumpy_sphere(vertices: int) -> Mesh:
    """A textured grid over a sphere with noise, about this many vertices, a UV seam and no poles."""
    rng = np.random.default_rng(0)
    rows = columns = max(3, int(vertices**0.5))
    theta = np.linspace(0.05, np.pi - 0.05, rows)[:, None]
    phi = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    radius = 1 + 0.02 * rng.standard_normal((rows, columns))
    axes = np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi
    points = np.stack([radius * axis for axis in axes], axis=-1).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")

    def numbers(i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return i * columns + j % columns, np.stack([j / columns, i / (rows - 1)], axis=-1)

    (a, ta), (b, tb), (c, tc), (d, td) = (numbers(row + i, column + j) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1)))
    faces = np.stack([np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)], axis=2).reshape(-1, 3)
    uvs = np.stack([np.stack([ta, tb, tc], axis=2), np.stack([ta, tc, td], axis=2)], axis=2).reshape(-1, 3, 2)
    texture = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    return Mesh.from_faces(points, faces, corner_uvs=uvs, material=Material("skin", textures={"diffuse": texture}))


def seconds(work: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median wall-clock and processor time of ``repeats`` runs; other programs disturb only the first."""
    wall, processor = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    return statistics.median(wall), statistics.median(processor)


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vertices", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args(argv)
    mesh = bumpy_sphere(args.vertices)
    assert mesh.corner_uvs is not None
    faces, uvs = mesh.corners.reshape(-1, 3), mesh.corner_uvs.reshape(-1, 3, 2)
    image = mesh.materials[0].textures["diffuse"]

    def fresh() -> Mesh:
        return replace(mesh)  # without the edges that a mesh remembers

    def ours() -> None:
        copy = fresh()
        from_mesh(copy)
        edge_table(copy)

    def ours_with_dictionary() -> None:
        copy = fresh()
        from_mesh(copy)
        edge_lengths(copy)

    ours()  # warm up
    times = {
        "ours": seconds(ours, args.repeats),
        "ours_with_edge_dictionary": seconds(ours_with_dictionary, args.repeats),
        "plain": seconds(lambda: mesh_to_gaussians(mesh.vertices, faces, uvs, image), min(args.repeats, 3)),
    }
    with tempfile.TemporaryDirectory() as folder:
        obj = save_obj(mesh, Path(folder) / "object")
        gaussians = from_mesh(mesh)
        times["read_obj"] = seconds(lambda: load_mesh(obj), 3)
        times["write_ply"] = seconds(lambda: save_ply(gaussians, Path(folder) / "a.ply"), 3)
        times["write_edges"] = seconds(lambda: save_edges(mesh, Path(folder) / "a.json"), 3)
    result: dict[str, Any] = {"benchmark": "mesh2gaussian", "vertices": mesh.n_vertices, "corners": len(mesh.corners)}
    for name, (wall, processor) in times.items():
        result |= {f"{name}_s": wall, f"{name}_processor_s": processor}
    for name in ("ours", "ours_with_edge_dictionary"):
        result[f"ratio_plain_to_{name}"] = times["plain"][0] / times[name][0]
        result[f"ratio_plain_to_{name}_processor"] = times["plain"][1] / times[name][1]
    # 12 texel reads of a byte and about 40 operations per corner; two passes over the edges.
    result["work_flop"] = 40 * len(mesh.corners) + 10 * 2 * len(mesh.edges())
    result["work_bytes"] = 12 * len(mesh.corners) + (8 + 8) * len(mesh.corners) + 24 * mesh.n_vertices
    result = {key: round(value, 4) if isinstance(value, float) else value for key, value in result.items()}
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
