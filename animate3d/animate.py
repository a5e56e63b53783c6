"""The steps from a mesh, and a sentence or videos, to an animated file as one resumable run.

Each step is the documented command of the seven-step pipeline, run in this process, so every step can also be run,
inspected or replaced by hand. Results lie in the output folder; what the steps hand on lies in ``work/`` below it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from animate3d import alignment
from animate3d.cameras import reconstruction_cameras
from animate3d.doctor import blender
from animate3d.errors import InputError, MissingDependencyError
from animate3d.export import SUFFIXES, export_with_report, preview
from animate3d.files import content_hash, existing_file, existing_folder
from animate3d.frames import count_frames, load_frames, load_images, numbered_images
from animate3d.gaussians import from_mesh, load_ply, save_edges, save_ply
from animate3d.meshes import Mesh, Placement, load_mesh
from animate3d.meshes.appearance import vertex_colors
from animate3d.motion.appearance import fit_appearance
from animate3d.motion.start import save_start
from animate3d.motion.template import Template
from animate3d.motion.tracking import track
from animate3d.motion.trajectory import Trajectory, weld
from animate3d.rasterize.textured import render_mesh
from animate3d.resources import find_resource
from animate3d.rotations import matrix_to_quaternion
from animate3d.steps import Steps
from animate3d.videos import VideoOptions, make_masks, make_videos

FIT_CONFIG = "custom/threestudio-animate3d/configs/mesh_animation_tracked.yaml"
STATIC_CONFIG = "custom/threestudio-animate3d/configs/visualize_four_view_static.yaml"
VISUALIZE_CONFIG = "custom/threestudio-animate3d/configs/visualize_four_view_frame_16.yaml"
FIT_SIZE = 128  # pixels; where appearance and motion are fitted
APPEARANCE_STEPS = 120
STATIC_VIEWS = 4  # of the static render: those of the generated videos


@dataclass(frozen=True)
class AnimateOptions:
    """What `animate` is asked for; the command's flags have the same names.

    Attributes:
        mesh: a mesh file or an object folder.
        frames: folder of RGBA images ``{v*F+f}.png``; None makes videos from ``video``.
        out: where the results go.
        formats: suffixes without the dot.
        fps: frames per second of the exported animation.
        max_morphs: largest number of morph targets in FBX and glTF.
        placement: a placement file or a placement; None places automatically.
        views: number of synchronised videos in ``frames``.
        seed: of everything random.
        config: of the motion fit.
        overrides: ``key=value`` for the motion fit.
        gpu: index of the CUDA device, used when there is one.
        video: the prompt and how videos are made of it, when there are no frames.
    """

    mesh: Path
    frames: Path | None
    out: Path
    formats: tuple[str, ...] = ("glb", "usdc")
    fps: float = 8.0
    max_morphs: int | None = None
    placement: Placement | Path | None = None
    views: int = 4
    seed: int = 0
    config: str = FIT_CONFIG
    overrides: tuple[str, ...] = ()
    gpu: str = "0"
    video: VideoOptions | None = None


@dataclass(frozen=True)
class AnimateResult:
    """Where everything is, and the motion itself."""

    files: dict[str, Path]
    preview: Path
    record: Path
    trajectory: Trajectory
    mean_displacement: float
    """Of all vertices over the frames after the first, as a share of the bounding-box diagonal."""


def animate(options: AnimateOptions, announce: Callable[[str], None] = lambda line: None) -> AnimateResult:
    """Animate a mesh from a prompt (all seven steps) or from synchronised videos (steps 1, 2, 5, 6 and 7).

    Raises:
        InputError: an input cannot be used, or frame 0 does not show the placed mesh.
    """
    run = _Run(options, announce)
    run.convert()
    run.render_static()
    if options.frames is None:
        run.read_frames(run.make_frames())
    run.check_alignment()
    run.fit_appearance()
    run.track()
    run.fit()
    run.visualize()
    trajectory = run.read_trajectory()
    files = {suffix: run.export(trajectory, suffix) for suffix in options.formats}
    run.preview(trajectory)
    moved = np.linalg.norm(trajectory.positions[1:] - trajectory.positions[:1], axis=-1)
    displacement = float(moved.mean() / run.mesh.diagonal()) if len(moved) else 0.0
    return AnimateResult(files, options.out / "preview.mp4", run.steps.path, trajectory, displacement)


class _Run:
    """The inputs of a run, read and checked, and its steps."""

    def __init__(self, options: AnimateOptions, announce: Callable[[str], None]) -> None:
        _check(options)
        self.options = options
        self.mesh: Mesh = load_mesh(options.mesh)
        # Of what is used, not of the folders: the results may lie in them.
        self.mesh_hash = content_hash(self.mesh)
        if options.frames is not None:  # told now, not after a minute of work
            self.read_frames(options.frames)
        given = options.placement
        self.placement = (
            self.mesh.automatic_placement()
            if given is None
            else given
            if isinstance(given, Placement)
            else Placement.load(given)
        )

        self.work = options.out / "work"
        self.model, self.edges = self.work / "model.ply", self.work / "model.json"
        self.placement_file, self.start = self.work / "placement.json", self.work / "start.npz"
        self.placed_model = self.work / "placed.ply"
        self.static_images = self.work / "static_vis" / "object" / "save" / "images"
        self.checkpoints = self.work / "mesh" / "object" / "ckpts"
        self.checkpoint = self.checkpoints / "last.ckpt"
        self.trajectory = self.work / "mesh_vis" / "object" / "save" / "mesh_trajectory"

        self.steps = Steps(options.out, announce)
        self.steps.describe(
            mesh=str(options.mesh),
            frames=None if options.frames is None else str(options.frames),
            prompt=None if options.video is None else options.video.prompt,
            seed=options.seed,
            views=options.views,
        )

    def read_frames(self, folder: Path) -> None:
        """The RGBA frames that the motion is fitted to.

        Raises:
            InputError: not a folder of enough square images.
        """
        folder = existing_folder(folder, "folder of frames")
        views = self.options.views
        self.frames_folder = folder
        self.frames = load_frames(folder, views, count_frames(folder, views))
        self.frames_hash = content_hash(numbered_images(folder))
        height, width = self.frames.shape[2:4]
        if height != width:
            raise InputError(f"The frames in {folder} are {width}x{height} pixels; they must be square.")
        if self.frames.shape[1] < 2:
            raise InputError(f"{folder} holds one frame per view; a motion needs at least 2.")
        for v, covered in enumerate((self.frames[:, 0, ..., 3] > 0.5).flatten(1).float().mean(1).tolist()):
            if covered in (0.0, 1.0):
                fault = "is empty: every pixel" if covered == 0 else "shows no outline: no pixel"
                raise InputError(
                    f"Frame 0 of view {v} in {folder} {fault} is transparent. The alpha has to cut out the object; "
                    "make masks first (see the documentation)."
                )

    def convert(self) -> None:
        """Step 1: one Gaussian per vertex, the edges, the placement."""

        def action(resuming: bool) -> dict[str, Any]:
            save_ply(from_mesh(self.mesh), self.model)
            save_edges(self.mesh, self.edges)
            self.placement.save(self.placement_file)
            return {"vertices": self.mesh.n_vertices}

        self.steps.run(
            "1 mesh to Gaussians",
            action,
            inputs={"mesh": self.mesh_hash},
            settings={"placement": self.placement.matrix().tolist()},
            outputs=[self.model, self.edges, self.placement_file],
        )

    def render_static(self) -> None:
        """Step 2: the four views that the videos start from."""
        self.steps.run(
            "2 four-view render",
            lambda resuming: self._launch(STATIC_CONFIG, ["name=static_vis", *self._model_keys()], "test"),
            inputs={"model": self.model, "placement": self.placement_file},
            outputs=[self.static_images],
        )

    def make_frames(self) -> Path:
        """Steps 3 and 4: videos from the prompt, their foreground masks."""
        options, video = self.options, self.options.video
        assert video is not None  # `_check`
        images = tuple(self.static_images / f"{v}.png" for v in range(options.views))
        videos, frames = self.work / "videos", self.work / "frames"
        weights = {"weights": video.weights, "checkpoint": video.checkpoint}
        # The names of files are enough: hashing gigabytes of weights would take longer than it helps.
        settings = {**asdict(video), **{key: str(path) for key, path in weights.items()}, "seed": options.seed}

        def generate(resuming: bool) -> dict[str, Any]:
            return {"frames": str(make_videos(video, images, videos, options.seed, self.steps.announce))}

        facts = self.steps.run(
            "3 videos", generate, inputs={"static": self.static_images}, settings=settings, outputs=[videos]
        )
        raw = Path(facts["frames"])

        def cut_out(resuming: bool) -> dict[str, Any]:
            warnings = make_masks(video, raw, self.static_images, frames, options.views)
            for sentence in warnings:
                self.steps.announce(f"warning: {sentence}")
            return {"warnings": warnings}

        self.steps.run(
            "4 masks",
            cut_out,
            inputs={"videos": raw, "static": self.static_images},
            settings={"backend": video.mask_backend},
            outputs=[frames],
        )
        return frames

    def check_alignment(self) -> None:
        """Frame 0 of every view has to show the placed model: the given frames fix the placement."""
        first = self.frames[:, 0]
        views, size = first.shape[:2]
        placed = np.asarray(self.placement.apply(self.mesh.vertices))[None]
        drawn = render_mesh(self.mesh, placed, reconstruction_cameras(views, size), shading=False)[:, 0]
        model = torch.from_numpy(drawn).float() / 255
        overlap = alignment.silhouette_iou(first[..., 3], model[..., 3])
        if views == STATIC_VIEWS:
            # Videos that were generated from the static render show its blobs, which are wider than a coarse mesh.
            static = load_images([self.static_images / f"{v}.png" for v in range(views)])
            blobs = alignment.silhouette_iou(first[..., 3], static[..., 3])
            overlap = [max(pair) for pair in zip(overlap, blobs, strict=True)]
        picture, better = self.options.out / "alignment.png", self.work / "suggested_placement.json"
        if min(overlap) >= alignment.MIN_ALIGNMENT:
            picture.unlink(missing_ok=True)
            return
        advice = alignment.suggest(self.mesh, self.placement, first[..., 3])
        text = advice.text
        if advice.placement is not None:
            advice.placement.save(better)
            text += f" --placement {better}"
        alignment.save_comparison(first, model, overlap, text, picture)
        worst = int(np.argmin(overlap))
        raise InputError(
            f"Frame 0 of view {worst} in {self.frames_folder} does not match the silhouette of the placed mesh "
            f"(IoU {overlap[worst]:.2f}, {alignment.MIN_ALIGNMENT} is needed; see {picture}). {text}"
        )

    def fit_appearance(self) -> None:
        """Gaussians that look like frame 0, in the placed frame."""

        def action(resuming: bool) -> None:
            images = _reduced(self.frames[:, 0], FIT_SIZE)
            with tqdm(total=APPEARANCE_STEPS, desc="appearance", unit="step") as bar:
                fitted = fit_appearance(
                    load_ply(self.model).transformed(self.placement),
                    images,
                    reconstruction_cameras(len(images), images.shape[1]),
                    steps=APPEARANCE_STEPS,
                    progress=lambda step: bar.update(1) and None,
                )
            save_ply(fitted, self.placed_model)

        self.steps.run(
            "5 appearance",
            action,
            inputs={"model": self.model, "placement": self.placement_file, "frames": self.frames_hash},
            settings={"views": len(self.frames), "size": FIT_SIZE, "steps": APPEARANCE_STEPS},
            outputs=[self.placed_model],
        )

    def track(self) -> None:
        """A coarse motion for the fit to start from."""

        def action(resuming: bool) -> None:
            template = Template(
                np.asarray(self.placement.apply(self.mesh.vertices)),
                self.mesh.triangles()[0],
                self.mesh.welded(),
                vertex_colors(self.mesh),
            )
            views, count, size = self.frames.shape[:3]
            with tqdm(total=count - 1, desc="tracking", unit="frame") as bar:
                positions, rotations = track(
                    template,
                    self.frames.numpy(),
                    reconstruction_cameras(views, size),
                    progress=lambda frame: bar.update(1) and None,
                )
            save_start(self.start, torch.from_numpy(positions), matrix_to_quaternion(torch.from_numpy(rotations)))

        self.steps.run(
            "5 tracking",
            action,
            inputs={"mesh": self.mesh_hash, "placement": self.placement_file, "frames": self.frames_hash},
            settings={"views": len(self.frames)},
            outputs=[self.start],
        )

    def fit(self) -> None:
        """Step 5: the deformation field."""
        keys = [
            "name=mesh",
            *self._trial_keys(),
            f"system.geometry.geometry_convert_from={self.placed_model}",
            *self._data_keys(),
            f"system.connected_vertices_info_path={self.edges}",
            f"system.geometry.initial_motion={self.start}",
            *self.options.overrides,
        ]

        def action(resuming: bool) -> None:
            if resuming and self.checkpoint.is_file():
                return self._launch(self.options.config, [*keys, f"resume={self.checkpoint}"], "train")
            shutil.rmtree(self.checkpoints, ignore_errors=True)  # of other inputs, or incomplete
            return self._launch(self.options.config, keys, "train")

        self.steps.run(
            "5 motion",
            action,
            inputs={
                "model": self.placed_model,
                "edges": self.edges,
                "start": self.start,
                "frames": self.frames_hash,
                "config": find_resource(self.options.config),
            },
            settings={"overrides": self.options.overrides, "seed": self.options.seed, "views": len(self.frames)},
            outputs=[self.checkpoint],
        )

    def visualize(self) -> None:
        """Step 6: the trajectory, and the 4D Gaussians from the four views."""
        size = self.frames.shape[2]
        keys = [
            "name=mesh_vis",
            *self._trial_keys(),
            *self._data_keys(),
            f"resume={self.checkpoint}",
            "system.save_gaussian_trajectory=True",
            f"data.random_camera.eval_height={size}",
            f"data.random_camera.eval_width={size}",
            f"data.random_camera.eval_azimuth_deg=[{self._azimuths()}]",
        ]
        self.steps.run(
            "6 trajectory",
            lambda resuming: self._launch(VISUALIZE_CONFIG, keys, "test"),
            inputs={"checkpoint": self.checkpoint},
            outputs=[self.trajectory],
        )

    def read_trajectory(self) -> Trajectory:
        """The vertices at every frame in the mesh's own coordinates; copies along seams stay together."""
        loaded = Trajectory.load_npy_folder(self.trajectory, self.placement, self.mesh.n_vertices, fps=self.options.fps)
        return replace(loaded, positions=weld(loaded.positions, self.mesh.welded()))

    def export(self, trajectory: Trajectory, suffix: str) -> Path:
        """Step 7: one format."""
        options = self.options
        target = options.out / f"animation.{suffix}"

        def action(resuming: bool) -> dict[str, Any]:
            report = export_with_report(
                self.mesh, trajectory.positions, target, fps=options.fps, max_morphs=options.max_morphs
            )
            return {"report": str(report)}

        self.steps.run(
            f"7 {suffix}",
            action,
            inputs={"trajectory": self.trajectory, "mesh": self.mesh_hash},
            settings={"fps": options.fps, "max_morphs": options.max_morphs},
            outputs=[target],
        )
        return target

    def preview(self, trajectory: Trajectory) -> None:
        """What the textured mesh looks like, for people."""
        options = self.options

        def action(resuming: bool) -> None:
            placed = trajectory.to_placed(self.placement)
            preview(self.mesh, placed, options.out, reconstruction_cameras(len(self.frames)), fps=options.fps)

        self.steps.run(
            "7 preview",
            action,
            inputs={"trajectory": self.trajectory, "mesh": self.mesh_hash},
            settings={"fps": options.fps},
            outputs=[options.out / "preview.mp4", options.out / "preview.png"],
        )

    def _trial_keys(self) -> list[str]:
        return [
            "tag=object",
            f"exp_root_dir={self.work}",
            f"seed={self.options.seed}",
            "system.prompt_processor.prompt=animate",
        ]

    def _model_keys(self) -> list[str]:
        return [
            *self._trial_keys(),
            f"system.geometry.geometry_convert_from={self.model}",
            f"system.geometry.load_ply_cfg.placement={self.placement_file}",
        ]

    def _data_keys(self) -> list[str]:
        views, count = self.frames.shape[:2]
        size = min(FIT_SIZE, self.frames.shape[2])
        frame_keys = ("data.total_frame", "system.n_frame", "data.random_camera.total_frame")
        view_keys = ("data.n_view", "system.n_view", "data.random_camera.n_view")
        return [
            f"data.image_root={self.frames_folder}",
            f"data.width={size}",
            f"data.height={size}",
            *(f"{key}={count}" for key in frame_keys),
            *(f"{key}={views}" for key in view_keys),
            f"data.default_azimuth_deg={self._azimuths()}",
        ]

    def _azimuths(self) -> list[float]:
        views = len(self.frames)
        return [360.0 * v / views for v in range(views)]

    def _launch(self, config: str, overrides: Sequence[str], mode: str) -> None:
        from animate3d.studio.launch import launch  # Lightning takes seconds to import: only when a step runs

        launch(config, overrides, mode, gpu=self.options.gpu)


def _check(options: AnimateOptions) -> None:
    """What would otherwise come to light only after minutes of work.

    Raises:
        InputError: a value that cannot be used.
        MissingDependencyError: a format that nothing on this machine can write.
    """
    unknown = [suffix for suffix in options.formats if suffix not in SUFFIXES]
    if unknown:
        raise InputError(f"The format `{unknown[0]}` is unknown; known are: {', '.join(SUFFIXES)}.")
    if not options.formats:
        raise InputError(f"No format is given; known are: {', '.join(SUFFIXES)}.")
    needs_blender = [suffix for suffix in options.formats if suffix in ("fbx", "abc")]
    if needs_blender and not blender():
        raise MissingDependencyError(
            f"Writing {needs_blender[0]} needs Blender: pip install 'animate3d[blender]' (Python 3.11), or put a "
            "`blender` executable on the PATH; glb and usdc do not need it."
        )
    if not (np.isfinite(options.fps) and options.fps > 0):
        raise InputError(f"The number of frames per second must be positive, got {options.fps:g}.")
    if options.max_morphs is not None and options.max_morphs < 1:
        raise InputError(f"The number of morph targets is limited to {options.max_morphs}; at least 1 is needed.")
    if options.views < 1:
        raise InputError(f"The number of views must be at least 1, got {options.views}.")
    if (options.frames is None) == (options.video is None):
        raise InputError("Give either a prompt or a folder of frames.")
    if options.video is not None and options.views != STATIC_VIEWS:
        raise InputError(f"Videos from a prompt have {STATIC_VIEWS} views, got {options.views}.")
    existing_file(find_resource(options.config), "config file")
    wrong = [item for item in options.overrides if "=" not in item]
    if wrong:
        raise InputError(f"`{wrong[0]}` is not a setting of the form key=value.")


def _reduced(images: torch.Tensor, size: int) -> torch.Tensor:
    """``[V, H, W, 4]`` at most ``size`` pixels high."""
    if images.shape[1] <= size:
        return images
    return torch.nn.functional.interpolate(images.movedim(-1, 1), size=(size, size), mode="area").movedim(1, -1)
