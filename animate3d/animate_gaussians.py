"""The steps from a Gaussian model, and a sentence or videos, to a 4D Gaussian model as one resumable run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from animate3d import alignment
from animate3d.cameras import Cameras
from animate3d.cameras_random import frame_times
from animate3d.errors import InputError
from animate3d.export.gaussian_motion import GaussianMotion, Pose, render_testset, render_turntable, save_trajectory
from animate3d.export.ply_sequence import write_ply_sequence
from animate3d.files import sha256
from animate3d.gaussians import Gaussians, load_gaussian_rows, load_ply, merged, save_ply
from animate3d.gaussians.placement import automatic_placement, core, filled, fits_cameras
from animate3d.motion.checkpoint import load_motion
from animate3d.motion.proxy import Carrier, MovingSurface, proxy_surface
from animate3d.motion.start import save_start
from animate3d.motion.template import Surface
from animate3d.rasterize import Splats, render
from animate3d.run import STATIC_VIEWS, VISUALIZE_CONFIG, Run, RunOptions, check_options

FIT_CONFIG = "custom/threestudio-animate3d/configs/motion_recon_frame_16.yaml"
REFINE_CONFIG = "custom/threestudio-animate3d/configs/refine_frame_16.yaml"
FIT_SIZE = 256
TARGET_SIZE = 1024  # of the renders that refinement starts from
RENDER_SIZE = 512
REFINE_PREFIX = "refine."
"""Overrides that begin with it are for the refinement."""
FITTED = 15_000
"""Of a model with more Gaussians, about as many that look like it are fitted; 256² pixels show no more."""
_SURFACE = 100_000  # Gaussians that the surface for the tracker is put around, at most
_AT_ONCE = 16_000_000  # Gaussians times images that a training step draws together


@dataclass(frozen=True)
class GaussianOptions(RunOptions):
    """What `animate_gaussians` is asked for: `RunOptions` of a file of Gaussians.

    Attributes:
        refine: continue with 4D score distillation; needs ``video``.
        track: start the fit from a surface around the model, followed through the frames.
    """

    config: str = FIT_CONFIG
    refine: bool = False
    track: bool = True


@dataclass(frozen=True)
class GaussianResult:
    """Where everything is."""

    files: dict[str, Path]
    preview: Path
    record: Path
    mean_displacement: float
    """Of all Gaussians over the frames after the first, as a share of the diagonal of the model without strays."""
    seconds: dict[str, float]
    """Of every step, now or in an earlier run."""
    score: float | None
    """Of the best of several samples; None when there was only one."""


def animate_gaussians(options: GaussianOptions, announce: Callable[[str], None] = lambda line: None) -> GaussianResult:
    """Animate a Gaussian model from a prompt or from synchronised videos.

    Raises:
        InputError: an input cannot be used, or frame 0 does not show the placed model.
    """
    run = _GaussianRun(options, announce)
    run.convert()
    run.render_static()
    score = run.choose_frames() if options.frames is None else None
    run.check_alignment()
    start = run.track() if options.track else None
    checkpoint = run.fit(start)
    if options.refine:
        checkpoint = run.refine(checkpoint)
    return run.write_results(checkpoint, score)


class _GaussianRun(Run):
    """The steps of a Gaussian model."""

    fit_size, fit_name, called = FIT_SIZE, "recon", "Gaussian model"
    options: GaussianOptions

    def __init__(self, options: GaussianOptions, announce: Callable[[str], None]) -> None:
        _check(options)
        self.options = options
        self.model, self.kept = load_gaussian_rows(options.model)
        self.model_hash = sha256(options.model)
        if options.frames is not None:  # told now, not after a minute of work
            self.read_frames(options.frames)
        given = self.placement_given()
        self.placement = given or automatic_placement(self.model)
        self.begin(announce, model=str(options.model))
        points = self.placement.apply(core(self.model))
        if not fits_cameras(points):
            announce(
                f"warning: the placed model reaches {filled(points):.2g} of the way from the middle of the pictures to "
                "their edge; without placement flags it is centred and scaled to fit."
            )

    @cached_property
    def placed(self) -> Gaussians:
        """The model where the cameras see it, all bands of its colours turned with it."""
        return self.model.transformed(self.placement)

    @property
    def thinned(self) -> bool:
        """Whether fewer Gaussians are fitted than the model has. Refinement draws large images: it takes all."""
        return len(self.model) > FITTED and not self.options.refine

    @property
    def surface_file(self) -> Path:
        """The tracked surface."""
        return self.work / "surface.npz"

    @property
    def fitted_file(self) -> Path:
        """The Gaussians that are fitted."""
        return self.work / "fitted.ply" if self.thinned else self.model_file

    def draw(self, cameras: Cameras) -> Tensor:
        placed = self.placed
        splats = Splats(placed.means[None], placed.quats[None], placed.scales[None], placed.opacities, placed.colors)
        drawn = render(splats, cameras)
        return torch.cat([drawn.color, drawn.alpha], dim=-1)[0]

    def surface(self) -> Surface:
        vertices, triangles, colors = proxy_surface(merged(self.placed, _SURFACE)[0])
        return Surface(vertices, triangles, np.arange(len(vertices)), colors)

    def advise(self, masks: Tensor) -> alignment.Advice:
        return alignment.suggest(self.model, self.placement, masks)

    def convert(self) -> None:
        """Step 1: the Gaussians that can be used, and the placement."""

        def action(resuming: bool) -> dict[str, Any]:
            save_ply(self.model, self.model_file)
            self.placement.save(self.placement_file)
            dropped = int((~self.kept).sum())
            facts = {"gaussians": len(self.model), "sh_degree": self.model.sh_degree, "dropped": dropped}
            if self.thinned:
                fitted, _ = merged(self.model, FITTED)
                save_ply(fitted, self.fitted_file)
                facts["fitted"] = len(fitted)
            return facts

        self.steps.run(
            "1 Gaussians",
            action,
            inputs={"model": self.model_hash},
            settings={"placement": self.placement.matrix().tolist(), "thinned": self.thinned},
            outputs=[self.model_file, self.placement_file, self.fitted_file],
        )

    def track(self) -> Path:
        """A coarse motion for the fit to start from. Returns its file."""
        path = self.work / "start.npz"

        def action(resuming: bool) -> dict[str, Any]:
            surface = self.surface()
            moving = MovingSurface(surface.vertices, *self.track_surface(surface))
            moving.save(self.surface_file)
            fitted = load_ply(self.fitted_file).transformed(self.placement) if self.thinned else self.placed
            save_start(path, *Carrier(fitted, moving).poses())
            return {"surface": len(surface.vertices)}

        self.steps.run(
            "5 tracking",
            action,
            inputs={"model": self.model_file, "placement": self.placement_file, "frames": self.frames_hash},
            settings={"views": len(self.frames), "rigidity": self.rigidity, "thinned": self.thinned},
            outputs=[path, self.surface_file],
        )
        return path

    def fit(self, start: Path | None) -> Path:
        """Step 5: the deformation field, on top of the tracked motion if there is one. Returns its checkpoint."""
        overrides, _ = _split(self.options.overrides)
        inputs: dict[str, Path | str] = {"model": self.fitted_file, "placement": self.placement_file}
        keys = [*self._model_keys(), *self.data_keys(), *self._bounded()]
        if start is not None:
            inputs["start"] = start
            keys.append(f"system.geometry.initial_motion={start}")
        return self.train(
            "5 motion",
            self.options.config,
            self.fit_name,
            [*keys, *self.rigidity_keys(), *overrides],
            inputs={**inputs, "frames": self.frames_hash},
            settings={"overrides": overrides, "views": len(self.frames), "rigidity": self.rigidity},
        )

    def refine(self, fitted: Path) -> Path:
        """Steps 6: the fit's own renders, and what the video model makes of them. Returns the refined checkpoint."""
        video = self.options.video
        assert video is not None  # `_check`
        targets = self.work / "recon_vis" / "object" / "save" / "images"
        shown = ["name=recon_vis", *self.trial_keys(), *self.data_keys(), f"resume={fitted}"]
        self.steps.run(
            "6 renders to refine",
            lambda resuming: self._launch(VISUALIZE_CONFIG, [*shown, *self.four_view_keys(TARGET_SIZE)], "test"),
            inputs={"checkpoint": fitted},
            outputs=[targets],
        )
        _, overrides = _split(self.options.overrides)
        keys = [
            *self._model_keys(),
            *self.data_keys(),
            f"data.image_root={targets}",
            f"data.width={TARGET_SIZE}",
            f"data.height={TARGET_SIZE}",
            f"data.random_camera.batch_size={self.frames.shape[0] * self.frames.shape[1]}",
            f"system.weights={fitted}",
            f"system.prompt_processor.prompt={video.prompt}",
            *_video_model(video.weights, video.checkpoint),
            "trainer.limit_val_batches=0",
            *overrides,
        ]
        named = {"weights": str(video.weights), "checkpoint": str(video.checkpoint), "prompt": video.prompt}
        return self.train(
            "6 refinement",
            REFINE_CONFIG,
            "refine",
            keys,
            inputs={"fitted": fitted, "targets": targets},
            settings={"overrides": overrides, **named},
        )

    def write_results(self, checkpoint: Path, score: float | None) -> GaussianResult:
        """Step 7: ply sequence, trajectory, renders and turntable."""
        out, fps = self.options.out, self.options.fps
        files = {"plys": out / "frames_ply", "trajectory": out / "trajectory.npz", "renders": out / "renders"}
        video, sheet = out / "turntable.mp4", out / "turntable.png"
        motion = self._motion(checkpoint)
        own = motion.in_file_of(self.model, self.placement)
        up = "y" if abs(self.placement.rotation[2, 1]) > 0.7 else "z"

        def step(name: str, action: Callable[[], object], outputs: list[Path], **settings: object) -> None:
            def run(resuming: bool) -> None:
                action()

            self.steps.run(
                f"7 {name}",
                run,
                inputs={"checkpoint": checkpoint, "model": self.model_file, "placement": self.placement_file},
                settings=settings,
                outputs=outputs,
            )

        step(
            "ply sequence",
            lambda: write_ply_sequence(own.gaussians, own.frames, files["plys"], fps=fps, up_axis=up),
            [files["plys"]],
            fps=fps,
        )
        step(
            "trajectory",
            lambda: save_trajectory(
                own, files["trajectory"], fps=fps, placement=self.placement, source_rows=np.flatnonzero(self.kept)
            ),
            [files["trajectory"]],
            fps=fps,
        )
        step(
            "renders",
            lambda: render_testset(motion, files["renders"], size=RENDER_SIZE),
            [files["renders"]],
            size=RENDER_SIZE,
        )
        step(
            "turntable",
            lambda: render_turntable(motion, video, sheet, fps=fps, size=RENDER_SIZE),
            [video, sheet],
            fps=fps,
            size=RENDER_SIZE,
        )
        return GaussianResult(
            {**files, "sheet": sheet},
            video,
            self.steps.path,
            self._displacement(files["trajectory"]),
            self.steps.seconds(),
            score,
        )

    def _motion(self, checkpoint: Path) -> GaussianMotion:
        motion, times = load_motion(checkpoint), frame_times(self.frames.shape[1]).tolist()
        # All Gaussians start where the surface takes them; the field, a function of space, holds for all.
        carrier = (
            Carrier(self.placed, MovingSurface.load(self.surface_file)) if self.thinned and self.options.track else None
        )
        still = (self.placed.means, self.placed.quats) if self.thinned else None

        def pose(frame: int) -> Pose:
            start = still if carrier is None else carrier.pose(frame)
            return Pose(*motion.pose(self.placed, times[frame], start))

        return GaussianMotion(self.placed, len(times), pose)

    def _displacement(self, trajectory: Path) -> float:
        """See `GaussianResult`."""
        with np.load(trajectory, allow_pickle=False) as data:
            means = torch.from_numpy(data["means"])
        moved = sum(float((frame - means[0]).norm(dim=-1).mean()) for frame in means[1:]) / (len(means) - 1)
        points = core(self.model)
        return moved / float(np.linalg.norm(np.ptp(points, axis=0)))

    def _model_keys(self) -> list[str]:
        return [
            f"system.geometry.geometry_convert_from={self.fitted_file}",
            f"system.geometry.load_ply_cfg.placement={self.placement_file}",
        ]

    def _bounded(self) -> list[str]:
        """Memory within bounds for large models; no turntable in the middle of the fit."""
        images, count = self.frames.shape[0] * self.frames.shape[1], FITTED if self.thinned else len(self.model)
        return [f"data.chunk_views={max(1, min(images, _AT_ONCE // count))}", "trainer.limit_val_batches=0"]


def _split(overrides: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Overrides of the fit and, without their prefix, of the refinement."""
    refine = tuple(item.removeprefix(REFINE_PREFIX) for item in overrides if item.startswith(REFINE_PREFIX))
    return tuple(item for item in overrides if not item.startswith(REFINE_PREFIX)), refine


def _video_model(weights: Path | None, checkpoint: Path | None) -> list[str]:
    keys = []
    if weights is not None:
        keys += [f"system.{part}.pretrained_model_name_or_path={weights}" for part in ("guidance", "prompt_processor")]
    if checkpoint is not None:
        keys.append(f"system.guidance.pretrained_unet_path={checkpoint}")
    return keys


def _check(options: GaussianOptions) -> None:
    """What would otherwise come to light only after minutes of work.

    Raises:
        InputError: a value that cannot be used.
    """
    if options.refine and options.video is None:
        raise InputError("Refinement needs the video model: give --prompt and --weights beside --refine.")
    if options.refine and options.views != STATIC_VIEWS:
        raise InputError(f"Refinement works with {STATIC_VIEWS} views, got {options.views}.")
    if not options.refine and options.frames is not None and options.video is not None:
        raise InputError("Give either a prompt or a folder of frames (both only with --refine).")
    if not options.refine and _split(options.overrides)[1]:
        raise InputError("Settings that begin with `refine.` are for --refine.")
    check_options(options)
