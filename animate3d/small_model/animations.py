"""The whole command on meshes whose true motion is known: what their vertices do, and what the videos show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from animate3d.bundled_model.folder import VIEWS
from animate3d.cameras import reconstruction_cameras
from animate3d.evaluation.clip_metrics import VideoArray, score_clip, score_trajectory
from animate3d.files import read_json
from animate3d.frames import composite, contact_sheet, load_frames, save_image
from animate3d.meshes import save_obj
from animate3d.meshes.appearance import vertex_colors
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.mesh import AnimateResult, animate
from animate3d.runs.options import AnimateOptions
from animate3d.runs.presets import PRESETS
from animate3d.runs.videos import preset_videos
from animate3d.small_model.acts import Act, Pending
from animate3d.small_model.cases import drawn_clip
from animate3d.small_model.data.moving import POINTS, MeshPoints, as_bytes, spread
from animate3d.small_model.rows import Row, remembered

ANIMATIONS, PICTURES = "animations", "pictures"
_PICTURE_SIZE, _PICTURE_STEP = 96, 2


def animation_rows(acts: Iterable[Pending], count: int, out: Path, model: Path | None, seed: int = 0) -> list[Row]:
    """Animate meshes with a model, or with the bundled one, as the command's users do; finished cases are kept."""
    return [
        remembered(out, ANIMATIONS, uid, lambda make=make: animation_row(make(), out, model, seed))  # type: ignore[misc]
        for uid, make in tqdm(acts, total=count, desc="animations", mininterval=5)
    ]


def animation_row(act: Act, out: Path, model: Path | None, seed: int) -> Row:
    """Animate a mesh and compare with what it should do."""
    folder = out / ANIMATIONS / act.uid
    source = act.mesh.source or save_obj(act.mesh, folder / "object")
    preset = PRESETS["laptop"]
    preset = replace(preset, sampler=replace(preset.sampler, frames=act.positions.shape[1]))
    video = preset_videos(act.prompt, preset, weights=model, bundled=True)
    # Without computed moves: the model is what is measured.
    options = AnimateOptions(
        source, None, folder, formats=("glb",), video=video, seed=seed, rigidity=preset.rigidity, moves="never"
    )
    result = animate(options)
    moved = result.trajectory.positions.astype(np.float64)
    picture = f"{PICTURES}/{act.uid}.png"
    save_image(out / picture, _beside_truth(act, moved))
    clip, videos = made_clip(folder, act.positions.shape[1]), true_clips(act)
    clip[:, 0] = videos[0][:, 0]
    seen = score_clip(clip, videos, 0)
    apart = [float(np.square(moved - other).sum(axis=-1).mean()) for other in act.positions]
    return {
        **act.row(seen),
        "read_as": _caption(result),
        "right_after_tracking": int(np.argmin(apart)) == 0,
        "energy": seen.energy,
        "picture": picture,
        "seconds": result.seconds,
        **asdict(score_trajectory(moved, act.positions[0])),
    }


def made_clip(folder: Path, count: int) -> VideoArray:
    """The video that a run has made, before it was enlarged."""
    (frames,) = (path for path in sorted((folder / "work" / "videos").glob("0-*")) if path.is_dir())
    return load_frames(frames, VIEWS, count, alpha=False)[..., :3].numpy()


def true_clips(act: Act) -> list[VideoArray]:
    """The clip of every motion that competes."""
    triangles = act.mesh.triangles()[0]
    chosen, shares = spread(act.mesh.vertices[triangles], POINTS, np.random.default_rng(0))
    colors = (vertex_colors(act.mesh)[triangles[chosen]] * shares[..., None]).sum(axis=1)
    surface = MeshPoints(triangles[chosen], shares.astype(np.float32), colors)
    place = act.mesh.automatic_placement().apply
    return [drawn_clip(place(surface.follow(positions)), as_bytes(colors)) for positions in act.positions]


def _caption(result: AnimateResult) -> str:
    """What the video model was given for the prompt."""
    return str(read_json(result.record)["steps"].get("3 reading", {}).get("facts", {}).get("caption", ""))


def _beside_truth(act: Act, moved: np.ndarray) -> np.ndarray:
    """Two views of the true motion above the same of the mesh in positions ``[F, N, 3]``. ``[H', W', 3]``"""
    cameras, place = reconstruction_cameras(VIEWS, _PICTURE_SIZE), act.mesh.automatic_placement().apply
    rows = []
    for positions in (act.positions[0], moved):
        drawn = render_mesh(act.mesh, place(positions[::_PICTURE_STEP]), cameras)[:2]
        seen = composite(torch.from_numpy(drawn).float() / 255, 0.5).numpy()
        rows.append(np.concatenate([contact_sheet(view[None]) for view in seen], axis=1))
    return (np.concatenate(rows) * 255).round().astype(np.uint8)
