"""The functions of ``import animate3d``: what the commands do, for a script (docs/api.md has an example of each)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.cameras import Cameras, reconstruction_cameras
from animate3d.errors import InputError
from animate3d.export import export
from animate3d.frames import GREY, count_frames, load_frames
from animate3d.gaussians import Gaussians, holds_gaussians
from animate3d.gaussians.placement import automatic_placement
from animate3d.meshes import Mesh, Placement, vertex_colors
from animate3d.meshes.appearance import paint_of
from animate3d.motion.template import Template
from animate3d.motion.tracking import TrackSettings
from animate3d.motion.tracking import track as track_template
from animate3d.motion.trajectory import Trajectory, weld
from animate3d.rasterize import Splats
from animate3d.rasterize import render as rasterize
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.console import Console
from animate3d.runs.gaussians import GaussianResult
from animate3d.runs.mesh import AnimateResult
from animate3d.runs.options import MOVE_FRAMES, AnimateOptions, GaussianOptions
from animate3d.runs.presets import choose_preset
from animate3d.runs.requested import Requested, carry_out, formats_of
from animate3d.runs.scene import own_sentences
from animate3d.runs.video import VideoRunOptions
from animate3d.runs.videos import preset_videos

__all__ = ["animate", "export_animation", "render", "track"]


def animate(
    model: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str],
    prompt: str | None = None,
    frames: str | os.PathLike[str] | None = None,
    videos: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    weights: str | os.PathLike[str] | None = None,
    preset: str | None = None,
    motion_strength: float = 1.0,
    announce: Callable[[str], None] | None = None,
    **options: Any,
) -> AnimateResult | GaussianResult:
    """Animate a mesh or a Gaussian model from a sentence or from videos, as `animate3d animate` does.

    Run it again with the same ``out`` to continue after an interruption; steps that are up to date are skipped.

    Args:
        model: a mesh file, an object folder, a scene file or a file of Gaussians; or several meshes that stand beside
            each other.
        out: folder of the results.
        prompt: what happens, for example "a dog is jumping"; the videos are made with the video model. The objects of
            a scene file may have sentences of their own.
        frames: in place of a prompt, a folder of RGBA images ``{v*F+f}.png`` of four synchronised videos.
        videos: in place of both, an ordinary video of a mesh's motion, or several of the same moment.
        weights: folder of a video model; None uses what the preset names.
        preset: "laptop" (the bundled model) or "full" (the released weights); None chooses by what there is.
        motion_strength: 0.25 to 4; 1 is usual.
        announce: is given every line about the progress; None prints them.
        options: further settings: the fields of `AnimateOptions`, `GaussianOptions` or, with ``videos``,
            `VideoRunOptions` (``formats``, ``fps``, ``seed``, ``loop``, ``cameras``, …), and with a prompt those of
            `SamplerSettings` and `VideoOptions` (``steps``, …; the frames of every video are ``frame_count``).

    Raises:
        InputError: an input cannot be used, or frame 0 of the videos does not show the placed model.
        TypeError: an unknown option.

    Example::

        import animate3d
        from animate3d.creatures import make_creature, save_creature
        dog = save_creature(make_creature("dog", seed=1), "dog")
        print(animate3d.animate(dog, prompt="a dog is jumping", out="out", formats=("glb",)).files["glb"])
    """
    model, *others = _paths(model)
    if others:
        options["others"] = (*others, *options.get("others", ()))
    if prompt is None and frames is None and not videos:
        prompt = own_sentences(model)
    if frames or videos or options.get("refine"):
        preset = preset or "full"  # what is not made by the bundled model needs none of its caution
    kind = _kind(model, prompt, _path(frames), _paths(videos))
    if videos:
        options["videos"] = _paths(videos)
    asked = _asked(kind, prompt, _path(weights), preset, motion_strength, options)
    return carry_out(kind(model, _path(frames), _results(out), **asked), Console() if announce is None else announce)


def _kind(model: Path, prompt: str | None, frames: Path | None, videos: Sequence[Path]) -> type[Requested]:
    """The options of a run, by what drives which model.

    Raises:
        InputError: videos beside another driver, or of Gaussians.
    """
    of_gaussians = holds_gaussians(model)
    if not videos:
        return GaussianOptions if of_gaussians else AnimateOptions
    if of_gaussians:
        raise InputError(f"{model} holds Gaussians; `videos` are for meshes, Gaussians take `frames` or `prompt`.")
    if prompt is not None or frames is not None:
        raise InputError("Give one of `prompt`, `frames` and `videos`.")
    return VideoRunOptions


def _asked(
    kind: type[Requested],
    prompt: str | None,
    weights: Path | None,
    preset: str | None,
    strength: float,
    options: dict[str, Any],
) -> dict[str, Any]:
    """The fields of options of a kind, from what `animate` is given."""
    of_run = {field.name for field in fields(kind)}
    of_videos = {name: options.pop(name) for name in list(options) if name not in of_run}
    if of_videos and prompt is None:
        raise TypeError(f"`{next(iter(of_videos))}` is not a setting of an animation from videos.")
    if "frame_count" in of_videos:
        of_videos["frames"] = of_videos.pop("frame_count")
    chosen = choose_preset(preset, weights_given=bool(weights or of_videos.get("checkpoint"))).with_motion_strength(
        strength
    )
    asked = {
        "rigidity": chosen.rigidity,
        "video": None if prompt is None else preset_videos(prompt, chosen, weights=weights, **of_videos),
        "move_frames": of_videos.get("frames", MOVE_FRAMES),
        "move_strength": strength,
        **options,
    }
    if kind is GaussianOptions:
        return asked
    formats, engine = asked.get("formats"), asked.get("engine")
    if formats is None:
        asked.pop("formats", None)
    if isinstance(formats, str) or (formats is None and engine is not None):
        asked["formats"] = formats_of(formats, engine)
    asked.setdefault("field", bool(options.get("overrides") or options.get("config")))  # they are settings of its fit
    if kind is VideoRunOptions:
        asked.setdefault("rate", options.get("fps"))  # None keeps the video's
        asked["cameras"] = _paths(asked.get("cameras", ()))
    return asked


def track(
    mesh: Mesh,
    frames: str | os.PathLike[str] | NDArray[np.float32],
    *,
    views: int = 4,
    cameras: Cameras | None = None,
    placement: Placement | None = None,
    rigidity: float = 1.0,
    fps: float = 8.0,
    progress: Callable[[int], None] = lambda frame: None,
) -> Trajectory:
    """Follow a mesh through synchronised videos: the motion alone, without the other steps of `animate`.

    Nothing is held still (`animate3d.motion.harmless`), and no files are written.

    Args:
        mesh: the mesh at rest, which frame 0 shows.
        frames: a folder of RGBA images ``{v*F+f}.png``, or ``[V, F, H, W, 4]`` in 0..1.
        views: V of a folder.
        cameras: ``[V]`` of the frames' size; None for azimuths 360° v / V at elevation 15°.
        placement: how the mesh stands before the cameras; None places it automatically.
        rigidity: factor on the weight that holds the mesh's shape.
        fps: frames per second of the videos.
        progress: called with the number of frames that are done, as the share of the work goes.

    Returns:
        the vertices at every frame, in the mesh's own coordinates.

    Raises:
        InputError: frames that are missing, of different sizes, or without alpha.

    Example::

        import animate3d
        from animate3d.creatures.dragon import demo_asset, write_demo_frames

        write_demo_frames("bend", "frames", frames_per_view=2, size=64)  # four videos {v*F+f}.png of a known motion
        trajectory = animate3d.track(animate3d.load_mesh(demo_asset()), "frames")
        print(trajectory.positions.shape, trajectory.fps)  # [F, N, 3] in the mesh's coordinates
    """
    if not isinstance(frames, np.ndarray):
        frames = load_frames(frames, views, count_frames(frames, views)).numpy()
    placement = placement or mesh.automatic_placement()
    placed = np.asarray(placement.apply(mesh.vertices))
    template = Template(placed, mesh.triangles()[0], mesh.welded(), vertex_colors(mesh), paint=paint_of(mesh))
    cameras = cameras or reconstruction_cameras(len(frames), frames.shape[2])
    positions = track_template(template, frames, cameras, TrackSettings().scaled(rigidity), progress).positions
    trajectory = Trajectory.from_placed(positions, placement, fps)
    return Trajectory(weld(trajectory.positions, mesh.welded()), fps)


def export_animation(
    mesh: Mesh,
    trajectory: Trajectory | NDArray[np.floating],
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    **options: Any,
) -> Path:
    """Write an animated mesh; the suffix names the format (docs/export.md lists them).

    Args:
        mesh: the mesh as it was loaded.
        trajectory: its vertices at every frame ``[F, N, 3]``, in its own coordinates; frame 0 is the rest pose.
        path: for example ``dog.glb``, ``dog.fbx`` or ``dog.usdc``.
        fps: frames per second; None uses the trajectory's, or 24 for an array.
        options: further arguments of `animate3d.export.export`, such as ``max_morphs``.

    Returns:
        ``path``

    Raises:
        InputError: an unknown suffix, or a trajectory of another mesh.
        MissingDependencyError: FBX or Alembic without Blender.

    Example::

        import animate3d
        import numpy as np
        from animate3d.creatures.dragon import demo_asset

        mesh = animate3d.load_mesh(demo_asset())
        positions = np.stack([mesh.vertices, mesh.vertices + [0, 0.1, 0]])  # it rises
        animate3d.export_animation(mesh, positions, "dragon.glb", fps=2)
    """
    if isinstance(trajectory, Trajectory):
        fps, trajectory = trajectory.fps if fps is None else fps, trajectory.positions
    return export(mesh, trajectory, path, fps=24.0 if fps is None else fps, **options)


def render(
    model: Mesh | Gaussians,
    cameras: Cameras | None = None,
    *,
    positions: Trajectory | NDArray[np.floating] | None = None,
    placement: Placement | None = None,
) -> NDArray[np.uint8]:
    """Draw a mesh (textured triangles) or a Gaussian model, at rest or in motion.

    The differentiable rasteriser below it is `animate3d.rasterize.render`.

    Args:
        model: what is drawn.
        cameras: ``[V]``; None is the four of the videos, at 512 pixels.
        positions: vertices or means at every frame ``[F, N, 3]``, in the model's own coordinates; None draws the rest.
        placement: how the model stands before the cameras; None places it automatically.

    Returns:
        RGBA images ``[V, F, H, W, 4]``, straight alpha.

    Example::

        import animate3d
        from animate3d.cameras import orbit_cameras
        from animate3d.creatures.dragon import demo_asset

        mesh = animate3d.load_mesh(demo_asset())
        front = animate3d.render(mesh, orbit_cameras(15.0, [0.0], size=128))[0, 0]  # uint8 [H, W, 4]
    """
    cameras = reconstruction_cameras(size=512) if cameras is None else cameras
    moved = positions.positions if isinstance(positions, Trajectory) else positions
    if isinstance(model, Mesh):
        placement = placement or model.automatic_placement()
        moved = model.vertices[None] if moved is None else moved
        return render_mesh(model, np.asarray(placement.apply(moved)), cameras)
    placement = placement or automatic_placement(model)
    model = model.transformed(placement)
    means = model.means[None] if moved is None else torch.as_tensor(placement.apply(moved)).to(model.means)
    quats, scales = (part.expand(len(means), *part.shape) for part in (model.quats, model.scales))
    drawn = rasterize(Splats(means, quats, scales, model.opacities, model.colors), cameras, background=0.0)
    straight = torch.where(drawn.alpha > 0, drawn.color / drawn.alpha.clamp_min(1e-6), GREY).clamp(0, 1)
    rgba = torch.cat([straight, drawn.alpha], dim=-1).transpose(0, 1)
    return (255 * rgba).round().byte().cpu().numpy()


def _results(out: str | os.PathLike[str]) -> Path:
    if not os.fspath(out):  # which would be the current folder
        raise InputError("`out` is empty; name a folder for the results.")
    return Path(out)


def _paths(given: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None) -> tuple[Path, ...]:
    if given is None:
        return ()
    several = [given] if isinstance(given, str | os.PathLike | Mesh | Gaussians) else given
    if any(isinstance(each, Mesh | Gaussians) for each in several):
        raise InputError(
            "A run reads its model from a file, with which it can be continued; save what is in memory first (a Mesh "
            "with `animate3d.meshes.save_obj`, Gaussians with `animate3d.gaussians.save_ply`) and give the path."
        )
    return tuple(Path(path) for path in several)


def _path(given: str | os.PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given)
