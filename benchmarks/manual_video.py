"""What one ordinary video gives: clips of known motions, lit and compressed, through `animate --video`.

Run by hand (the tables of docs/video.md):

    python benchmarks/manual_video.py long --frames 30 300 --out DIR     # time, memory and drift of long clips
    python benchmarks/manual_video.py table --out DIR                    # known motions, camera given or found
    python benchmarks/manual_video.py table --out DIR --rows "bend: lit" "clean"     # some of its rows

Rows of the table are kept in ``DIR/rows.json``, so that a run goes on where the last one ended.

A clip is drawn by us: shaded from the camera, on plain blue, H.264 at 1 Mbit/s, so that its every vertex is known.
Each run is a process of its own, so that its memory is its own too. Errors are in shares of the model's diagonal.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from animate3d.creatures import dragon
from animate3d.creatures.creatures import make_creature, move
from animate3d.evaluation.recovery import recovery
from animate3d.meshes import Mesh, Placement, load_mesh, save_obj
from animate3d.motion.trajectory import load_placed_folder
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.render import fitting_viewpoint
from animate3d.runs.viewpoint import Viewpoint, save_viewpoint

Array = NDArray[np.float64]

PERIOD = 60  # frames in which a long motion goes and comes back
LONG = ("bend", "hop", "wing_flap", "hop", "bend")  # so begins as it ends
FPS = 24
BLUE = (70, 110, 190)
BITRATE = "1M"
MOTIONS = ("bend", "wing_flap", "hop", "dog walk", "bird flap")  # of the dragon, and of families of creatures
CASES = {  # of the table, most ordinary first: clips, and the cameras that are given
    "lit, 1 Mbit/s, camera found": (("clip0.mp4",), ()),
    "clean, camera given": (("clean",), ("camera0.json",)),
    "two, lit, 1 Mbit/s, cameras found": (("clip0.mp4", "clip1.mp4"), ()),
    "lit, 1 Mbit/s, camera given": (("clip0.mp4",), ("camera0.json",)),
    "two, lit, 1 Mbit/s, cameras given": (("clip0.mp4", "clip1.mp4"), ("camera0.json", "camera1.json")),
}


@dataclass(frozen=True)
class Known:
    """A mesh on disk and how it moves.

    Attributes:
        folder: an object folder.
        positions: ``[F, N, 3]`` in the mesh's own coordinates.
    """

    folder: Path
    mesh: Mesh
    positions: Array

    @property
    def placement(self) -> Placement:
        return self.mesh.automatic_placement()


def long_motion(frames: int) -> Known:
    """The dragon's motions one after the other, each there and back in `PERIOD` frames."""
    mesh = load_mesh(dragon.demo_asset())
    f = np.arange(frames)
    times = 0.5 - 0.5 * np.cos(2 * np.pi * (f % PERIOD) / PERIOD)
    times[f % PERIOD == 0] = 0.0
    positions = np.empty((frames, *mesh.vertices.shape))
    for p in range(0, frames, PERIOD):
        motion = dragon.MOTIONS[LONG[p // PERIOD % len(LONG)]]
        positions[p : p + PERIOD] = motion(mesh.vertices, times[p : p + PERIOD])
    return Known(dragon.demo_asset(), mesh, positions)


def dragon_motion(name: str, frames: int) -> Known:
    mesh = load_mesh(dragon.demo_asset())
    return Known(dragon.demo_asset(), mesh, dragon.MOTIONS[name](mesh.vertices, dragon.unit_times(frames)))


def family_motion(family: str, motion: str, frames: int, folder: Path) -> Known:
    """A creature of the generator, written to a folder."""
    creature = make_creature(family, 1)
    save_obj(creature.mesh, folder)
    return Known(folder, load_mesh(folder), np.asarray(move(creature, motion, frames)))


def view_of(known: Known, azimuth: float, elevation: float, size: tuple[int, int]) -> Viewpoint:
    """A camera that keeps the whole motion in the picture."""
    view = fitting_viewpoint(known.mesh, known.placement, azimuth, elevation, 40.0, size)
    placed = known.placement.apply(known.positions[:: max(1, len(known.positions) // 40)].reshape(-1, 3))
    for _ in range(40):
        c2w = view.c2w()
        local = (np.asarray(placed) - c2w[:3, 3]) @ c2w[:3, :3]
        reach = np.abs(local[:, :2] / -local[:, 2:]) / np.tan(np.radians(20.0)) / [size[0] / size[1], 1.0]
        if reach.max() < 0.95:
            break
        view = replace(view, distance=view.distance * 1.05)
    return view


def write_clip(known: Known, view: Viewpoint, path: Path, *, lit: bool = True, compressed: bool = True) -> None:
    """Draw the motion frame by frame into an H.264 file, or a folder of RGBA pictures."""
    pictures = _pictures(known, view, lit)
    if not compressed:
        from animate3d.frames import save_image

        path.mkdir(parents=True)
        for f, rgba in enumerate(pictures):
            save_image(path / f"{f}.png", rgba)
        return
    writer = imageio_ffmpeg.write_frames(
        str(path), view.size, fps=FPS, codec="libx264", bitrate=BITRATE, macro_block_size=1
    )
    writer.send(None)
    for rgba in pictures:
        alpha = rgba[..., 3:] / 255
        writer.send(np.ascontiguousarray((rgba[..., :3] * alpha + np.array(BLUE) * (1 - alpha) + 0.5).astype(np.uint8)))
    writer.close()


def _pictures(known: Known, view: Viewpoint, lit: bool) -> Iterator[NDArray[np.uint8]]:
    for positions in known.positions:
        placed = np.asarray(known.placement.apply(positions))[None]
        yield render_mesh(known.mesh, placed, view.cameras(), supersample=2, shading=lit)[0, 0]


def animated(
    known: Known, out: Path, clips: Sequence[Path], cameras: Sequence[Path], *flags: str
) -> tuple[Array, dict[str, Any]]:
    """Run the command in a process of its own; the positions it found ``[F, N, 3]``, and its record."""
    command = [sys.executable, "-m", "animate3d", "animate", str(known.folder), "--out", str(out), *flags]
    command += [part for clip in clips for part in ("--video", str(clip))]
    command += [part for camera in cameras for part in ("--camera", str(camera))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    placed = load_placed_folder(out / "work" / "trajectory", len(known.mesh.vertices))
    return np.asarray(known.placement.invert(placed.astype(np.float64))), json.loads((out / "run.json").read_text())


def measure_long(out: Path, frames: Sequence[int], size: int) -> None:
    print("| frames | error | first tenth | last tenth | ratio | CPU s per frame: tracking | all | peak MB |")
    for count in frames:
        known = long_motion(count)
        folder = out / f"long{count}"
        folder.mkdir(parents=True, exist_ok=True)
        view = view_of(known, 40.0, 15.0, (size, size))
        clip, camera = folder / "clip.mp4", folder / "camera.json"
        save_viewpoint(view, camera, known.placement)
        if not clip.is_file():
            write_clip(known, view, clip)
        found, record = animated(known, folder / "out", [clip], [camera], "--start-pose", "video", "--formats", "glb")
        errors = np.array([*recovery(found, known.positions).frame_errors])
        tenth = max(len(errors) // 10, 1)
        first, last = errors[:tenth].mean(), errors[-tenth:].mean()
        steps = record["steps"]
        tracking = steps["5 tracking"]["cpu_seconds"] / count
        total = sum(step.get("cpu_seconds", 0) for step in steps.values()) / count
        peak = max(step.get("peak_memory_mb", 0) for step in steps.values())
        print(
            f"| {count} | {100 * errors.mean():.2f} % | {100 * first:.2f} % | {100 * last:.2f} % | "
            f"{last / first:.2f} | {tracking:.2f} | {total:.2f} | {peak} |",
            flush=True,
        )


def table_clips(name: str, folder: Path, size: int, frames: int) -> tuple[Known, Viewpoint]:
    """A known motion and the first of its two views; the clips of all cases are drawn unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    family, _, motion = name.partition(" ")
    known = family_motion(family, motion, frames, folder / "mesh") if motion else dragon_motion(name, frames)
    views = [view_of(known, azimuth, 15.0, (size, size)) for azimuth in (40.0, -50.0)]
    drawn = [("clip0.mp4", views[0], True), ("clip1.mp4", views[1], True), ("clean", views[0], False)]
    for file, view, ordinary in drawn:
        if not (folder / file).exists():
            partly = folder / f"partly_{file}"
            shutil.rmtree(partly, ignore_errors=True)
            write_clip(known, view, partly, lit=ordinary, compressed=ordinary)
            partly.rename(folder / file)
    for v, view in enumerate(views):
        save_viewpoint(view, folder / f"camera{v}.json", known.placement)
    return known, views[0]


def with_true_distances(known: Known, found: Array, view: Viewpoint) -> Array:
    """Positions ``[F, N, 3]`` moved along their lines of sight to the distance from the camera that is true."""
    eye = view.c2w()[:3, 3]
    sight = np.asarray(known.placement.apply(found)) - eye
    true = np.linalg.norm(np.asarray(known.placement.apply(known.positions)) - eye, axis=-1, keepdims=True)
    return np.asarray(known.placement.invert(eye + sight / np.linalg.norm(sight, axis=-1, keepdims=True) * true))


def measure_row(name: str, label: str, out: Path, size: int, frames: int) -> dict[str, Any] | None:
    """One motion in one case; none where the command stops."""
    folder = out / name.replace(" ", "_")
    known, view = table_clips(name, folder, size, frames)
    clips, cameras = ([folder / file for file in files] for files in CASES[label])
    run = folder / label.replace(" ", "_").replace(",", "").replace("/", "")
    try:
        found, record = animated(known, run, clips, cameras, "--formats", "glb")
    except subprocess.CalledProcessError:
        return None
    score = recovery(found, known.positions)
    facts = record["steps"]["3 camera"]["facts"]
    seen = facts["cameras"][0]
    return {
        "error": score.error,
        "share": score.relative_error,
        "distances_true": recovery(with_true_distances(known, found, view), known.positions).error,
        "azimuth": abs((seen["azimuth"] - view.azimuth + 180) % 360 - 180),
        "elevation": abs(seen["elevation"] - view.elevation),
        "overlap": facts["overlap"][0],
        "cpu": sum(step.get("cpu_seconds", 0) for step in record["steps"].values()),
    }


def measure_table(out: Path, size: int, frames: int, wanted: Sequence[str]) -> None:
    """The rows whose names hold one of the texts (all without any); those in ``rows.json`` are not measured again."""
    kept = out / "rows.json"
    rows: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    print(
        "| motion | clip | error | of the displacement | azimuth off | elevation off | IoU | CPU s | distances true |"
    )
    for label in CASES:
        for name in MOTIONS:
            row_name = f"{name}: {label}"
            if wanted and not any(text in row_name for text in wanted):
                continue
            if row_name not in rows:
                rows[row_name] = measure_row(name, label, out, size, frames)
                kept.write_text(json.dumps(rows, indent=1))
            row = rows[row_name]
            if row is None:
                print(f"| {name} | {label} | stopped | | | | | | |", flush=True)
                continue
            print(
                f"| {name} | {label} | {100 * row['error']:.2f} % | {row['share']:.2f} | {row['azimuth']:.1f}° | "
                f"{row['elevation']:.1f}° | {row['overlap']:.3f} | {row['cpu']:.0f} | "
                f"{100 * row['distances_true']:.2f} % |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["long", "table"])
    parser.add_argument("--out", type=Path, required=True, help="folder for clips and runs")
    parser.add_argument("--frames", type=int, nargs="+", default=None)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rows", nargs="+", default=(), metavar="TEXT", help="rows whose names hold one of these")
    args = parser.parse_args()
    if args.what == "long":
        measure_long(args.out, args.frames or (30, 300), args.size)
    else:
        measure_table(args.out, args.size, (args.frames or (24,))[0], args.rows)


if __name__ == "__main__":
    main()
