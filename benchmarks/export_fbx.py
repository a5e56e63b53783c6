"""Animated FBX of 50k vertices and 16 frames: coordinates written in blocks against vertex by vertex, in one run.

    python benchmarks/export_fbx.py [--vertices 50000] [--frames 16] [--repeats 5]

Compared is what this project writes itself: the coordinates of the shape keys. The whole export is timed beside it;
most of that is Blender's own FBX writer, the same for both.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import plain_export

from animate3d.export import blender_script, export
from animate3d.export.clip import checked_clip
from animate3d.export.morphs import morph_targets
from animate3d.meshes import Mesh


def waving_grid(vertices: int, frames: int) -> tuple[Mesh, np.ndarray]:
    """A square grid of quads and its motion ``[F, N, 3]``."""
    side = max(2, round(vertices**0.5))
    axis = np.linspace(-1, 1, side)
    x, y = (grid.reshape(-1) for grid in np.meshgrid(axis, axis, indexing="ij"))
    phase = np.arange(frames)[:, None]
    z = 0.1 * (np.sin(3 * x + 0.4 * phase) - np.sin(3 * x))
    positions = np.stack([np.broadcast_to(x, z.shape), np.broadcast_to(y, z.shape), z], axis=-1)
    numbers = np.arange(side * side).reshape(side, side)
    quads = np.stack([numbers[:-1, :-1], numbers[1:, :-1], numbers[1:, 1:], numbers[:-1, 1:]], axis=-1).reshape(-1, 4)
    return Mesh.from_faces(positions[0], quads, up_axis="z"), positions


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """Median wall-clock time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def key_seconds(mesh: Mesh, positions: np.ndarray, polygons: list[list[int]], repeats: int) -> tuple[float, float]:
    """Median times of writing the shape keys' coordinates, ours and plain, each on a fresh object."""
    morphs = morph_targets(checked_clip(mesh, positions, 24))
    job = {"base": morphs.base, "targets": morphs.deltas, "weights": morphs.weights, "target_names": morphs.names}
    single = positions.astype(np.float32)
    ours, plain = [], []
    for _ in range(repeats):
        for times, write in (
            (ours, lambda item: blender_script._shape_keys(item, job, [])),
            (plain, lambda item: plain_export.write_shape_keys(item, single)),
        ):
            bpy.ops.wm.read_factory_settings(use_empty=True)
            item = plain_export.add_mesh(positions[0], polygons)
            start = time.perf_counter()
            write(item)
            times.append(time.perf_counter() - start)
    return statistics.median(ours), statistics.median(plain)


def main(argv: list[str] | None = None) -> int:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vertices", type=int, default=50_000)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(argv)
    mesh, positions = waving_grid(args.vertices, args.frames)
    polygons = np.split(mesh.corners, mesh.face_starts[1:-1])
    polygons = [polygon.tolist() for polygon in polygons]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        ours, plain = key_seconds(mesh, positions, polygons, args.repeats)
        target = Path(folder) / "a.fbx"
        whole = seconds(lambda: export(mesh, positions, target), args.repeats)
        size = target.stat().st_size
        plain_whole = seconds(lambda: plain_export.export_plainly(positions, polygons, str(target)), args.repeats)
    result = {
        "benchmark": "fbx export",
        "vertices": mesh.n_vertices,
        "frames": args.frames,
        "coordinate_bytes": (args.frames - 1) * mesh.n_vertices * 12,
        "file_bytes": size,
        "shape_keys_ms": round(1e3 * ours, 2),
        "plain_shape_keys_ms": round(1e3 * plain, 2),
        "ratio": round(plain / ours, 1),
        "required": 20,
        "whole_export_ms": round(1e3 * whole, 1),
        "plain_whole_export_ms": round(1e3 * plain_whole, 1),
        "whole_ratio": round(plain_whole / whole, 1),
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    main()
