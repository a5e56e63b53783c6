"""The steps from a mesh to an animated file as one resumable run.

Each step is the documented command of the seven-step pipeline, run in this process, so every step can also be run,
inspected or replaced by hand. Results lie in the output folder; what the steps hand on lies in ``work/`` below it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from animate3d import alignment
from animate3d.cameras import reconstruction_cameras
from animate3d.errors import InputError
from animate3d.export import SUFFIXES, export, preview
from animate3d.files import existing_folder
from animate3d.frames import count_frames, frame_size, load_frames, load_images
from animate3d.gaussians import from_mesh, save_edges, save_ply
from animate3d.meshes import Mesh, Placement, load_mesh
from animate3d.motion.trajectory import load_npy_folder
from animate3d.steps import Steps

FIT_CONFIG = "custom/threestudio-animate3d/configs/mesh_animation_tracked.yaml"
STATIC_CONFIG = "custom/threestudio-animate3d/configs/visualize_four_view_static.yaml"
VISUALIZE_CONFIG = "custom/threestudio-animate3d/configs/visualize_four_view_frame_16.yaml"
MIN_ALIGNMENT = 0.8  # silhouette IoU of frame 0 with the placed model, below which nothing good can come


@dataclass(frozen=True)
class AnimateOptions:
    """What `animate` is asked for; the command's flags have the same names.

    Attributes:
        mesh: a mesh file or an object folder.
        frames: folder of RGBA images ``{v*F+f}.png``.
        out: where the results go.
        formats: suffixes without the dot.
        fps: frames per second of the exported animation.
        placement: a placement file or a placement; None places automatically.
        views: number of synchronised videos in ``frames``.
        seed: of everything random.
        config: of the motion fit.
        overrides: ``key=value`` for the motion fit.
        gpu: index of the CUDA device, used when there is one.
    """

    mesh: Path
    frames: Path
    out: Path
    formats: tuple[str, ...] = ("glb", "usdc")
    fps: float = 8.0
    placement: Placement | Path | None = None
    views: int = 4
    seed: int = 0
    config: str = FIT_CONFIG
    overrides: tuple[str, ...] = ()
    gpu: str = "0"


@dataclass(frozen=True)
class AnimateResult:
    """Where everything is."""

    files: dict[str, Path]
    preview: Path
    record: Path
    mean_displacement: float
    """Of all vertices over frames >= 1, as a share of the bounding-box diagonal."""
    steps: dict[str, Any] = field(default_factory=dict)


def animate(options: AnimateOptions, announce: Callable[[str], None] = lambda line: None) -> AnimateResult:
    """Animate a mesh from synchronised videos (steps 1, 2, 5, 6 and 7 of the pipeline).

    Raises:
        InputError: an input cannot be used, or frame 0 does not show the placed mesh.
    """
    unknown = [suffix for suffix in options.formats if suffix not in SUFFIXES]
    if unknown:
        raise InputError(f"The format `{unknown[0]}` is unknown; known are: {', '.join(SUFFIXES)}.")
    mesh = load_mesh(options.mesh)
    frames_folder = existing_folder(options.frames, "folder of frames")
    frames = count_frames(frames_folder, options.views)
    placement = _placement(options.placement, mesh)

    work = options.out / "work"
    model, edges, placement_file = work / "model.ply", work / "model.json", work / "placement.json"
    steps = Steps(options.out, announce)
    steps.describe(
        mesh=str(options.mesh), frames=str(options.frames), seed=options.seed, views=options.views, frame_count=frames
    )

    def convert(resuming: bool) -> dict[str, Any]:
        save_ply(from_mesh(mesh), model)
        save_edges(mesh, edges)
        placement.save(placement_file)
        return {"vertices": mesh.n_vertices}

    steps.run(
        "1 mesh to Gaussians",
        convert,
        inputs={"mesh": mesh.source},
        settings={"placement": placement.matrix().tolist()},
        outputs=[model, edges, placement_file],
    )

    model_keys = [
        "tag=object",
        f"exp_root_dir={work}",
        f"seed={options.seed}",
        "system.prompt_processor.prompt=animate",
        f"system.geometry.geometry_convert_from={model}",
        f"system.geometry.load_ply_cfg.placement={placement_file}",
    ]
    static_images = work / "static_vis" / "object" / "save" / "images"
    steps.run(
        "2 four-view render",
        lambda resuming: _launch(STATIC_CONFIG, ["name=static_vis", *model_keys], "test", options.gpu),
        inputs={"model": model, "placement": placement_file},
        outputs=[static_images],
    )
    if options.views == 4:  # the static render has the views of the generated videos
        steps.run(
            "  frame 0 against the model",
            lambda resuming: _check_alignment(options, mesh, placement, frames, static_images),
            inputs={"frames": frames_folder, "static": static_images},
        )

    size = frame_size(frames_folder)
    data_keys = [
        f"data.image_root={frames_folder}",
        *(f"{owner}={frames}" for owner in ("data.total_frame", "system.n_frame", "data.random_camera.total_frame")),
        *(f"{owner}={options.views}" for owner in ("data.n_view", "system.n_view", "data.random_camera.n_view")),
        f"data.default_azimuth_deg={[360.0 * v / options.views for v in range(options.views)]}",
    ]
    fit_keys = [f"system.connected_vertices_info_path={edges}", f"data.width={size}", f"data.height={size}"]
    fit_keys = ["name=mesh", *model_keys, *data_keys, *fit_keys, *options.overrides]

    def fit(resuming: bool) -> dict[str, Any]:
        last = work / "mesh" / "object" / "ckpts" / "last.ckpt"
        resume = [f"resume={last}"] if resuming and last.is_file() else []
        return _launch(options.config, [*fit_keys, *resume], "train", options.gpu)

    fit_facts = steps.run(
        "5 motion",
        fit,
        inputs={"model": model, "placement": placement_file, "edges": edges, "frames": frames_folder},
        settings={"config": options.config, "overrides": options.overrides, "seed": options.seed, "frames": frames},
        outputs=[work / "mesh" / "object" / "ckpts" / "last.ckpt"],
    )
    checkpoint = Path(fit_facts["checkpoint"])

    trajectory_folder = work / "mesh_vis" / "object" / "save" / "mesh_trajectory"
    visualize_keys = [f"resume={checkpoint}", "system.save_gaussian_trajectory=True"]
    steps.run(
        "6 trajectory",
        lambda resuming: _launch(
            VISUALIZE_CONFIG, ["name=mesh_vis", *model_keys, *data_keys, *visualize_keys], "test", options.gpu
        ),
        inputs={"checkpoint": checkpoint},
        outputs=[trajectory_folder],
    )

    trajectory = load_npy_folder(trajectory_folder, placement, mesh.n_vertices, fps=options.fps)
    files: dict[str, Path] = {}
    for suffix in options.formats:
        target = options.out / f"animation.{suffix}"

        def write(resuming: bool, target: Path = target) -> None:
            export(mesh, trajectory.positions, target, fps=options.fps)

        steps.run(
            f"7 {suffix}",
            write,
            inputs={"trajectory": trajectory_folder, "mesh": mesh.source},
            settings={"fps": options.fps},
            outputs=[target],
        )
        files[suffix] = target

    placed = np.asarray(placement.apply(trajectory.positions))
    steps.run(
        "7 preview",
        lambda resuming: (
            preview(mesh, placed, options.out, reconstruction_cameras(options.views), fps=options.fps),
            None,
        )[1],
        inputs={"trajectory": trajectory_folder, "mesh": mesh.source},
        settings={"fps": options.fps},
        outputs=[options.out / "preview.mp4", options.out / "preview.png"],
    )
    moved = np.linalg.norm(trajectory.positions[1:] - trajectory.positions[:1], axis=-1)
    displacement = float(moved.mean() / mesh.diagonal()) if frames > 1 else 0.0
    return AnimateResult(files, options.out / "preview.mp4", steps.path, displacement, steps.record["steps"])


def _placement(given: Placement | Path | None, mesh: Mesh) -> Placement:
    if given is None:
        return Placement.automatic(mesh.vertices, mesh.up_axis)
    return given if isinstance(given, Placement) else Placement.load(given)


def _launch(config: str, overrides: Sequence[str], mode: str, gpu: str) -> dict[str, Any]:
    from animate3d.studio.launch import launch  # Lightning takes seconds to import: only when a step runs

    result = launch(config, list(overrides), mode, gpu=gpu)
    return {"trial": str(result.trial_dir), "checkpoint": str(result.checkpoint) if result.checkpoint else None}


def _check_alignment(
    options: AnimateOptions, mesh: Mesh, placement: Placement, frames: int, static_images: Path
) -> dict[str, Any]:
    """Frame 0 of every view has to show the placed model."""
    static = load_images([static_images / f"{v}.png" for v in range(options.views)])
    first = load_frames(options.frames, options.views, frames)[:, 0]
    overlap = alignment.silhouette_iou(first[..., 3], static[..., 3])
    if min(overlap) < MIN_ALIGNMENT:
        picture = alignment.save_comparison(first, static, overlap, options.out / "alignment.png")
        advice = alignment.suggest(mesh.vertices, placement, first[..., 3])
        worst = int(np.argmin(overlap))
        raise InputError(
            f"Frame 0 of view {worst} in {options.frames} does not match the silhouette of the placed mesh "
            f"(IoU {overlap[worst]:.2f}, {MIN_ALIGNMENT} is needed; see {picture}). {advice}"
        )
    return {"iou": [round(value, 4) for value in overlap]}
