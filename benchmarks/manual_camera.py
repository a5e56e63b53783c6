"""How well the camera of a picture is found: models from random views, lit and compressed (docs/video.md).

    python benchmarks/manual_camera.py [--views 24] [--models dragon dog …] [--flat]

A view is from anywhere (azimuth any, elevation -20° to 50°, roll up to 8°, field of view 20° to 60°), 512x384, shaded
from the camera, cut out of a frame of H.264 at 1 Mbit/s on blue as `animate --video` does. A camera is right within 4°
of azimuth and elevation; one that is not has to be refused (not believed) or flagged (an overlap below 0.93, or another
view that fits nearly as well).
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from animate3d.creatures import dragon
from animate3d.creatures.creatures import make_creature
from animate3d.creatures.figures import draw_figure, figure_mesh
from animate3d.meshes import Mesh, load_mesh
from animate3d.runs.camera_fit import find_camera
from animate3d.runs.clip import read_clip
from animate3d.runs.cutout import first_alpha
from animate3d.runs.render import draw_viewpoint
from animate3d.runs.viewpoint import Viewpoint

BLUE = (70, 110, 190)
SIZE = (512, 384)
MODELS = ("dragon", "dog", "bird", "snake", "figure:animal", "figure:vehicle")


def model_named(name: str) -> Mesh:
    if name == "dragon":
        return load_mesh(dragon.demo_asset())
    if name.startswith("figure:"):
        return figure_mesh(draw_figure(5, name.partition(":")[2]))
    return make_creature(name, 1).mesh


def random_view(mesh: Mesh, random: np.random.Generator) -> Viewpoint:
    fov, fill = random.uniform(20, 60), random.uniform(0.45, 0.75)
    radius = np.linalg.norm(mesh.automatic_placement().apply(mesh.vertices), axis=1).max()
    return Viewpoint(
        random.uniform(-180, 180),
        random.uniform(-20, 50),
        random.uniform(-8, 8),
        fov,
        radius / math.sin(math.atan(fill * math.tan(math.radians(fov / 2)))),
        (random.uniform(-0.08, 0.08), random.uniform(-0.08, 0.08)),
        size=SIZE,
    )


def as_seen(mesh: Mesh, view: Viewpoint, folder: Path, *, lit: bool) -> NDArray[np.uint8]:
    """Frame 0 of a compressed clip, the object cut out ``[H, W, 4]``."""
    rgba = draw_viewpoint(mesh, mesh.automatic_placement(), view, shading=lit)
    alpha = rgba[..., 3:] / 255
    frame = np.ascontiguousarray((rgba[..., :3] * alpha + np.array(BLUE) * (1 - alpha) + 0.5).astype(np.uint8))
    path = folder / "clip.mp4"
    writer = imageio_ffmpeg.write_frames(str(path), SIZE, fps=24, codec="libx264", bitrate="1M", macro_block_size=1)
    writer.send(None)
    for _ in range(8):
        writer.send(frame)
    writer.close()
    shown = next(read_clip(path).frames())[..., :3]
    found = first_alpha(np.ascontiguousarray(shown), "clip")
    return np.dstack([shown, (found * 255 + 0.5).astype(np.uint8)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=24)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--flat", action="store_true", help="bare colours")
    args = parser.parse_args()
    print(
        "| model | right, overlap 0.95 | right | refused | flagged | silently wrong | worst right | fov off | CPU s |"
    )
    for name in args.models:
        mesh, random = model_named(name), np.random.default_rng(24)
        counts = {"well": 0, "right": 0, "refused": 0, "flagged": 0, "silent": 0}
        worst, fovs, start = 0.0, [], time.process_time()
        for k in range(args.views):
            truth = random_view(mesh, random)
            with tempfile.TemporaryDirectory() as folder:
                picture = as_seen(mesh, truth, Path(folder), lit=not args.flat)
            found = find_camera(mesh, mesh.automatic_placement(), picture)
            view = found.viewpoint
            off = max(abs((view.azimuth - truth.azimuth + 180) % 360 - 180), abs(view.elevation - truth.elevation))
            right, flagged = off <= 4, found.doubtful
            if right:
                worst = max(worst, off)
                fovs.append(abs(view.field_of_view - truth.field_of_view))
            kind = "right" if right else "refused" if not found.believed else "flagged" if flagged else "silent"
            counts[kind] += 1
            counts["well"] += right and found.overlap >= 0.95
            if not right or flagged or found.overlap < 0.95:
                rival = "" if found.rival is None else f"{found.rival[1]:.2f}"
                print(
                    f"  {name} {k}: {kind}, off by {off:.1f}, azimuth {truth.azimuth:.0f}, elevation "
                    f"{truth.elevation:.0f}, fov {truth.field_of_view:.0f} -> {view.azimuth:.0f}, {view.elevation:.0f}, "
                    f"{view.field_of_view:.0f}, overlap {found.overlap:.3f}, colours {found.color_error:.3f}, "
                    f"rival {rival}",
                    flush=True,
                )
        cpu = (time.process_time() - start) / args.views
        print(
            f"| {name} | {counts['well']} | {counts['right']} | {counts['refused']} | {counts['flagged']} | "
            f"{counts['silent']} | {worst:.1f}° | {np.median(fovs) if fovs else np.nan:.1f}° | {cpu:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
