"""The demo of the video driver: a drawn clip of the dragon, lit and compressed, of which nothing else is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.creatures import dragon
from animate3d.evaluation import recovery
from animate3d.files import atomic_file
from animate3d.meshes import Mesh, load_mesh
from animate3d.progress import counted
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.demo import Compared
from animate3d.runs.options import DemoCommand
from animate3d.runs.steps import Steps
from animate3d.runs.video import VideoRunOptions, animate_video
from animate3d.runs.viewpoint import Viewpoint, load_viewpoint

MOTION, FRAMES, HEIGHT = "bend", 24, 360
_FPS = 24
_BLUE = np.array([70, 110, 190])
_BITRATE = "1M"


def animate_clip(given: DemoCommand, asked: Mapping[str, Any], announce: Callable[[str], None]) -> Compared:
    """Draw the clip, animate the dragon by it with an unknown camera, and compare with the truth.

    Raises:
        InputError: the motion is unknown.
    """
    name, frames, height = given.motion or MOTION, given.frame_count or FRAMES, given.size or HEIGHT
    motion = dragon.motion_named(name)
    mesh = load_mesh(dragon.demo_asset())
    truth = motion(mesh.vertices, dragon.unit_times(frames))
    size = (2 * round(height * 2 / 3), 2 * round(height / 2))  # H.264 wants even sides
    seen = Viewpoint(azimuth=40.0, elevation=15.0, size=size)
    clip = given.out / "clip.mp4"
    announce(f"animating the demo creature ({name}) by one video in {given.out}")
    Steps(given.out, announce).run(
        "1 clip",
        lambda: _write_clip(mesh, truth, seen, clip),
        settings={"motion": name, "frames": frames, **asdict(seen)},
        outputs=[clip],
    )
    options = VideoRunOptions(dragon.demo_asset(), None, given.out, videos=(clip,), **asked)
    result = animate_video(options, announce)
    found = load_viewpoint(given.out / "work" / "camera.json")[0]
    report = recovery.recovery(result.trajectory, truth)
    return (
        result,
        f"against the known motion: mean vertex error {100 * report.error:.2f} % of the diagonal, "
        f"{report.relative_error:.2f} of the displacement; camera off by {abs(found.azimuth - seen.azimuth):.1f}° "
        f"in azimuth and {abs(found.elevation - seen.elevation):.1f}° in elevation",
    )


def _write_clip(mesh: Mesh, positions: np.ndarray, seen: Viewpoint, path: Path) -> None:
    """The mesh at ``positions`` ``[F, N, 3]`` in soft light on blue, H.264 at 1 Mbit/s."""
    import imageio_ffmpeg

    placement, cameras = mesh.automatic_placement(), seen.cameras()
    with atomic_file(path) as temporary, counted(len(positions), "clip", "frame") as tell:
        writer = imageio_ffmpeg.write_frames(
            str(temporary), seen.size, fps=_FPS, codec="libx264", bitrate=_BITRATE, macro_block_size=1
        )
        writer.send(None)
        for f, vertices in enumerate(positions):
            placed = np.asarray(placement.apply(vertices))[None]
            rgba = render_mesh(mesh, placed, cameras, supersample=2)[0, 0]
            alpha = rgba[..., 3:] / 255
            picture = (rgba[..., :3] * alpha + _BLUE * (1 - alpha) + 0.5).astype(np.uint8)
            writer.send(np.ascontiguousarray(picture))
            tell(f + 1)
        writer.close()
