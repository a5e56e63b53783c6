"""Time against size, stage by stage, for meshes and Gaussian models from 5 thousand to a million.

    python benchmarks/large_inputs.py [--sizes 5000 50000 500000] [--kinds mesh gaussians]
    python benchmarks/large_inputs.py --whole --sizes 100000 --kinds gaussians --out DIR

Prints the seconds of processor time of every stage and the exponent e of time ~ size^e (1: in proportion), and the
peak memory after each size. With --whole the command `animate --frames` runs on each size instead, 16 frames of 256²,
and its steps are printed; its results stay in DIR to be looked at. The inputs are the demo dragon with every triangle
cut into k², and one Gaussian per vertex of it with random colours of degree 3.
"""

from __future__ import annotations

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from animate3d.cameras import reconstruction_cameras, testset_cameras
from animate3d.creatures.dragon import demo_asset, write_demo_frames
from animate3d.export import export, preview
from animate3d.export.gaussian_motion import GaussianMotion, Pose, draw
from animate3d.gaussians import Gaussians, from_mesh, load_gaussians, merged, save_ply
from animate3d.meshes import Mesh, load_mesh, save_obj
from animate3d.meshes.appearance import vertex_colors
from animate3d.motion.deformation import DeformationField
from animate3d.motion.proxy import Carrier, MovingSurface, proxy_surface
from animate3d.motion.template import Template
from animate3d.rasterize import Splats, render
from animate3d.rasterize.textured import render_mesh

SIZES = (5_000, 50_000, 500_000)
FRAMES, PIXELS = 16, 256


class Stages:
    """Seconds of processor time by stage and size."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds.setdefault(name, []).append(time.process_time() - start)

    def print(self, kind: str) -> None:
        print(f"\n{kind:24}" + "".join(f"{size:>12,}" for size in self.sizes) + "    exponent")
        for name, row in self.seconds.items():
            print(f"{name:24}" + "".join(f"{value:10.2f} s" for value in row) + f"{exponent(self.sizes, row):12.2f}")


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Slope of log time over log size between the two largest sizes."""
    if len(sizes) < 2:
        return math.nan
    return math.log(max(seconds[-1], 1e-3) / max(seconds[-2], 1e-3)) / math.log(sizes[-1] / sizes[-2])


def dense_dragon(vertices: int) -> Mesh:
    """The demo creature with every triangle cut into k² equal ones, for about that many vertices."""
    mesh = load_mesh(demo_asset())
    k = max(1, round(math.sqrt(vertices / mesh.n_vertices)))
    triangles, corners, faces = mesh.triangles()
    grid = np.array([(i, j, k - i - j) for i in range(k + 1) for j in range(k + 1 - i)])
    at = {(i, j): number for number, (i, j, _) in enumerate(grid.tolist())}
    up = [(at[i, j], at[i + 1, j], at[i, j + 1]) for i in range(k) for j in range(k - i)]
    down = [(at[i + 1, j], at[i + 1, j + 1], at[i, j + 1]) for i in range(k) for j in range(k - i - 1)]
    small = np.array(up + down)
    # Points on edges are shared: the same corners with the same weights are the same point.
    code = np.where(grid[None] > 0, triangles[:, None] * np.int64(k + 1) + grid[None], -1)
    _, first, ids = np.unique(np.sort(code, axis=-1).reshape(-1, 3), axis=0, return_index=True, return_inverse=True)
    points = np.einsum("bk,tkd->tbd", grid / k, mesh.vertices[triangles]).reshape(-1, 3)[first]
    uvs = np.einsum("bk,tkd->tbd", grid / k, mesh.corner_uvs[corners])[:, small]
    cut = ids.reshape(len(triangles), -1)[:, small].reshape(-1, 3)
    dense = Mesh.from_faces(points, cut, corner_uvs=uvs, up_axis=mesh.up_axis)
    return replace(dense, materials=mesh.materials, face_materials=np.repeat(mesh.face_materials[faces], len(small)))


def dense_gaussians(vertices: int) -> Gaussians:
    """Placed Gaussians of `dense_dragon` with random bands up to degree 3."""
    mesh = dense_dragon(vertices)
    model = from_mesh(mesh).transformed(mesh.automatic_placement())
    bands = 0.1 * torch.randn(len(model), 15, 3, generator=torch.Generator().manual_seed(0))
    return replace(model, sh=torch.cat([model.sh, bands], dim=1))


def splats(model: Gaussians) -> Splats:
    return Splats(model.means[None], model.quats[None], model.scales[None], model.opacities, model.colors)


def mesh_stages(stages: Stages, size: int, folder: Path) -> None:
    save_obj(dense_dragon(size), folder / "mesh")
    with stages.time("load"):
        mesh = load_mesh(folder / "mesh")
    stages.sizes.append(mesh.n_vertices)
    placement = mesh.automatic_placement()
    placed = np.asarray(placement.apply(mesh.vertices))
    with stages.time("weld, edges"):
        mesh.welded_edges()
    with stages.time("Gaussians of the mesh"):
        model = from_mesh(mesh)
    with stages.time("surface to track"):
        Template(placed, mesh.triangles()[0], mesh.welded(), vertex_colors(mesh))
    with stages.time("4 static renders, 512²"):
        render(splats(model.transformed(placement)), reconstruction_cameras(4, 512))
    with stages.time(f"draw 4 views, {PIXELS}²"):
        render_mesh(mesh, placed[None], reconstruction_cameras(4, PIXELS), shading=False)
    moved = np.stack([mesh.vertices * (1 + 0.01 * frame) for frame in range(FRAMES)]).astype(np.float32)
    for suffix in ("glb", "usdc"):
        with stages.time(f"export {suffix}"):
            export(mesh, moved, folder / f"a.{suffix}", fps=8)
    with stages.time("preview"):
        preview(mesh, np.asarray(placement.apply(moved.astype(np.float64))), folder, reconstruction_cameras(4), fps=8)


@torch.no_grad()
def gaussian_stages(stages: Stages, size: int, folder: Path) -> None:
    model = dense_gaussians(size)
    stages.sizes.append(len(model))
    with stages.time("write"):
        save_ply(model, folder / "a.ply")
    with stages.time("read"):
        model = load_gaussians(folder / "a.ply")
    with stages.time("merge to 15 000"):
        merged(model, 15_000)
    with stages.time("surface to track"):
        vertices, triangles, colors = proxy_surface(merged(model, 100_000)[0])
    with stages.time("template"):
        Template(vertices, triangles, np.arange(len(vertices)), colors)
    still = np.broadcast_to(np.eye(3), (1, len(vertices), 3, 3))
    with stages.time("hang on the surface"):
        carrier = Carrier(model, MovingSurface(vertices, vertices[None], still))
    with stages.time("one frame: carry"):
        start = carrier.pose(0)
    field = DeformationField()
    with stages.time("one frame: field"):
        first = (start[0][None], start[1][None])
        parts = (model.means, model.quats, model.log_scales)
        moved = field.deform(*parts, torch.zeros(1), use_delta_scale=False, start=first)
    motion = GaussianMotion(model, 1, lambda frame: Pose(*(part[0] for part in moved)))
    with stages.time("draw degree 3, 512²"):
        draw(motion, 0, testset_cameras(512)[:1])
    with stages.time("4 static renders, 512²"):
        render(splats(model), reconstruction_cameras(4, 512))


def whole(kind: str, size: int, out: Path) -> None:
    """The command itself, in a process of its own."""
    folder = out / f"{kind}_{size}"
    write_demo_frames("wing_flap", folder / "frames", frames_per_view=FRAMES, size=PIXELS)
    if kind == "mesh":
        save_obj(dense_dragon(size), folder / "model")
        model = folder / "model"
    else:
        save_ply(dense_gaussians(size), folder / "model.ply")
        model = folder / "model.ply"
    start = time.perf_counter()
    arguments = ["animate", str(model), "--frames", str(folder / "frames"), "--out", str(folder / "result")]
    subprocess.run([sys.executable, "-m", "animate3d", *arguments], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{kind} {size}: {time.perf_counter() - start:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processor time, "
        f"{used.ru_maxrss / 1e6:.2f} GB at most; see {folder / 'result'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--kinds", nargs="+", choices=("mesh", "gaussians"), default=("mesh", "gaussians"))
    parser.add_argument("--whole", action="store_true", help="run the command instead of single stages")
    parser.add_argument("--out", type=Path, default=Path("outputs/large_inputs"), metavar="DIR")
    options = parser.parse_args()
    for kind in options.kinds:
        if options.whole:
            for size in sorted(options.sizes):
                whole(kind, size, options.out)
            continue
        run = {"mesh": mesh_stages, "gaussians": gaussian_stages}[kind]
        with tempfile.TemporaryDirectory() as folder:
            run(Stages(), 5_000, Path(folder))  # compiles
        stages = Stages()
        for size in sorted(options.sizes):
            with tempfile.TemporaryDirectory() as folder:
                run(stages, size, Path(folder))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(f"{kind} {stages.sizes[-1]:,}: {peak:.2f} GB at most", flush=True)
        stages.print(kind)


if __name__ == "__main__":
    main()
