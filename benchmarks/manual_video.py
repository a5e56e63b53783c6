"""What one ordinary video gives: clips of known motions, lit and compressed, through `animate --video`.

Run by hand (the tables of docs/video.md):

    python benchmarks/manual_video.py long --frames 30 300 --out DIR     # time, memory and drift of long clips
    python benchmarks/manual_video.py table --out DIR                    # known motions, camera given or found

A clip is drawn by us: shaded from the camera, on plain blue, H.264 at 1 Mbit/s, so that its every vertex is known.
Each run is a process of its own, so that its memory is its own too. Errors are in shares of the model's diagonal.
"""

from __future__ import annotations

import argparse
import json
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
FAMILIES = (("dog", "walk"), ("bird", "flap"))


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


def measure_table(out: Path, size: int, frames: int) -> None:
    print("| motion | clip | error | of the displacement | azimuth off | elevation off | IoU |")
    for name in ("bend", "wing_flap", "hop", *(f"{family} {motion}" for family, motion in FAMILIES)):
        folder = out / name.replace(" ", "_")
        folder.mkdir(parents=True, exist_ok=True)
        family, _, motion = name.partition(" ")
        known = family_motion(family, motion, frames, folder / "mesh") if motion else dragon_motion(name, frames)
        views = [view_of(known, azimuth, 15.0, (size, size)) for azimuth in (40.0, -50.0)]
        files = []
        for v, view in enumerate(views):
            save_viewpoint(view, folder / f"camera{v}.json", known.placement)
            write_clip(known, view, folder / f"clip{v}.mp4")
            files.append((folder / f"clip{v}.mp4", folder / f"camera{v}.json"))
        clean = folder / "clean"
        if not clean.is_dir():
            write_clip(known, views[0], clean, lit=False, compressed=False)
        cases = {
            "lit, 1 Mbit/s, camera found": ([files[0][0]], []),
            "lit, 1 Mbit/s, camera given": ([files[0][0]], [files[0][1]]),
            "clean, camera given": ([clean], [files[0][1]]),
            "two, lit, 1 Mbit/s, cameras found": ([file[0] for file in files], []),
            "two, lit, 1 Mbit/s, cameras given": ([file[0] for file in files], [file[1] for file in files]),
        }
        for label, (clips, cameras) in cases.items():
            run = folder / label.replace(" ", "_").replace(",", "").replace("/", "")
            try:
                found, record = animated(known, run, clips, cameras, "--formats", "glb")
            except subprocess.CalledProcessError:
                print(f"| {name} | {label} | stopped | | | | |", flush=True)
                continue
            score = recovery(found, known.positions)
            facts = record["steps"]["3 camera"]["facts"]
            seen = facts["cameras"][0]
            turn = abs((seen["azimuth"] - views[0].azimuth + 180) % 360 - 180)
            print(
                f"| {name} | {label} | {100 * score.error:.2f} % | {score.relative_error:.2f} | {turn:.1f}° | "
                f"{abs(seen['elevation'] - views[0].elevation):.1f}° | {facts['overlap'][0]:.3f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["long", "table"])
    parser.add_argument("--out", type=Path, required=True, help="folder for clips and runs")
    parser.add_argument("--frames", type=int, nargs="+", default=None)
    parser.add_argument("--size", type=int, default=512)
    args = parser.parse_args()
    if args.what == "long":
        measure_long(args.out, args.frames or (30, 300), args.size)
    else:
        measure_table(args.out, args.size, (args.frames or (24,))[0])


if __name__ == "__main__":
    main()
