"""From a Gaussian model, and a sentence or videos, to a 4D Gaussian model as one resumable run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.errors import InputError
from animate3d.export.gaussian_motion import (
    GaussianMotion,
    Pose,
    draw,
    draw_still,
    render_testset,
    render_turntable,
    save_trajectory,
)
from animate3d.export.ply_sequence import write_ply_sequence
from animate3d.files import sha256, write_json
from animate3d.frames import save_frames
from animate3d.gaussians import Gaussians, load_gaussian_rows, load_ply, merged, save_ply
from animate3d.gaussians.placement import automatic_placement, core, filled, fits_cameras
from animate3d.meshes import Placement
from animate3d.motion.checkpoint import load_motion
from animate3d.motion.proxy import Carrier, MovingSurface, proxy_surface
from animate3d.motion.start import save_start
from animate3d.motion.surfaces import nearest_rotations
from animate3d.motion.template import Surface
from animate3d.orbits import frame_times
from animate3d.progress import counted
from animate3d.rotations import matrix_to_quaternion, quaternion_multiply, quaternion_to_matrix
from animate3d.runs.base import STATIC_VIEWS, Run, check_options
from animate3d.runs.fit import Training, frame_settings, path_setting, video_model_settings
from animate3d.runs.moves import PARTS, Computed, MovingBody, save_parts
from animate3d.runs.options import GaussianOptions
from animate3d.runs.overrides import REFINE, settings_of
from animate3d.runs.page import PAGE, write_run_page
from animate3d.viewer.moving import MovingGaussians

REFINE_CONFIG = "custom/threestudio-animate3d/configs/refine_frame_16.yaml"
FIT_SIZE = 256
FITTED = 15_000
"""A larger model is fitted as about so many Gaussians that look like it; 256² pixels show no more."""
_SURFACE = 100_000  # Gaussians that the surface for the tracker is put around, at most
_AT_ONCE = 16_000_000  # Gaussians times images that a training step draws together


@dataclass(frozen=True)
class GaussianResult:
    """Where everything is."""

    files: dict[str, Path]
    preview: Path
    record: Path
    mean_displacement: float
    """Mean over all Gaussians and frames after the first, as a share of the diagonal of the model without strays."""
    seconds: dict[str, float]
    """What every step took, now or in an earlier run."""
    score: float | None
    """Score of the best of several samples; None when there was only one."""


def animate_gaussians(options: GaussianOptions, announce: Callable[[str], None] = lambda line: None) -> GaussianResult:
    """Animate a Gaussian model from a prompt or from synchronised videos.

    Raises:
        InputError: an input cannot be used, frame 0 does not show the placed model, or another run is at work in the
            same folder.
    """
    _check(options)
    check_options(options)
    run = GaussianRun(options, announce)
    with run.at_work():
        run.convert()
        score = None
        if options.frames is None:
            run.render_static()
            score = run.choose_frames()
        if run.computed:
            return run.write_results(run.move(run.computed), score)
        run.check_alignment()
        checkpoint = run.fit(run.track() if options.track else None)
        if options.refine:
            checkpoint = run.refine(checkpoint)
        return run.write_results(checkpoint, score)


class GaussianRun(Run):
    """The steps of a Gaussian model."""

    fit_size, fit_name, called = FIT_SIZE, "recon", "Gaussian model"
    options: GaussianOptions
    model: Gaussians

    def __init__(self, options: GaussianOptions, announce: Callable[[str], None]) -> None:
        super().__init__(options, announce)
        self.model_file = self.work / "model.ply"
        points = self.placement.apply(core(self.model))
        if not fits_cameras(points):
            announce(
                f"warning: the placed model reaches {filled(points):.2g} of the way from the middle of the pictures to "
                "their edge; without placement flags it is centred and scaled to fit."
            )

    def read_model(self) -> tuple[Gaussians, str]:
        model, self.kept = load_gaussian_rows(self.options.model)
        return model, sha256(self.options.model)

    def automatic_placement(self) -> Placement:
        return automatic_placement(self.model)

    def extent(self) -> np.ndarray:
        return core(self.model)

    @cached_property
    def placed(self) -> Gaussians:
        """The model where the cameras see it, all bands of its colours turned with it."""
        return self.model.transformed(self.placement)

    @property
    def needs_videos(self) -> bool:  # type: ignore[override]
        return self.options.refine

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
        return draw_still(self.placed, cameras)

    def surface(self) -> Surface:
        vertices, triangles, colors = proxy_surface(merged(self.placed, _SURFACE)[0])
        return Surface(vertices, triangles, np.arange(len(vertices)), colors)

    def convert(self) -> None:
        """Step 1: the Gaussians that can be used, and the placement."""

        def write() -> dict[str, Any]:
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
            write,
            inputs={"model": self.model_hash},
            settings={"placement": self.placement.matrix().tolist(), "thinned": self.thinned},
            outputs=[self.model_file, self.placement_file, self.fitted_file],
        )

    def track(self) -> Path:
        """Step 5: a coarse motion for the fit to start from. Returns its file."""
        path = self.work / "start.npz"

        def save(surface: Surface, *motion: np.ndarray) -> None:
            moving = MovingSurface(surface.vertices, *motion)
            moving.save(self.surface_file)
            fitted = load_ply(self.fitted_file).transformed(self.placement) if self.thinned else self.placed
            save_start(path, *Carrier(fitted, moving).poses())

        return self.track_step(self.model_hash, save, path, self.surface_file)

    def move(self, computed: Computed) -> Path:
        """Step 5: what a sentence has the whole model do, from which `motion` computes poses. Returns its file."""
        path, asked = self.work / "move.json", computed.identity(self.options.move_frames)

        outputs = [path] if computed.body is None else [path, self.options.out / PARTS]

        def save() -> dict[str, Any]:
            save_parts(self.options.out, self.surface(), computed)
            write_json(path, asked)
            return computed.facts()

        self.steps.run("5 move", save, inputs={"model": self.model_hash}, settings=asked, outputs=outputs)
        return path

    def training(self, name: str) -> Training:
        """Where the field is fitted, or refined."""
        return Training(self.work, name, self.options.seed, self.options.gpu)

    @property
    def targets(self) -> Path:
        """Renders that refinement starts from."""
        return self.work / "targets"

    def fit(self, start: Path | None) -> Path:
        """Step 5: the deformation field, on top of the tracked motion if there is one. Returns its checkpoint."""
        images, count = self.frames.shape[0] * self.frames.shape[1], FITTED if self.thinned else len(self.model)
        keys = [*self._model_settings(), f"data.chunk_views={max(1, min(images, _AT_ONCE // count))}"]
        inputs: dict[str, Path | str] = {"model": self.fitted_file, "placement": self.placement_file}
        if start is not None:
            inputs["start"] = start
            keys.append(path_setting("system.geometry.initial_motion", start))
        return self.fit_field(self.training(self.fit_name), keys, inputs)

    def refine(self, fitted: Path) -> Path:
        """Step 6: what the video model makes of the fit's own renders. Returns the refined checkpoint."""
        video, size, targets = self.options.video, self.options.target_size, self.targets
        assert video is not None  # `_check`
        self.steps.run(
            "6 renders to refine",
            lambda: self._render_targets(fitted, targets),
            inputs={"checkpoint": fitted},
            settings={"size": size},
            outputs=[targets],
        )
        overrides = settings_of(REFINE, self.options.overrides)
        return self.training("refine").run(
            self.steps,
            "6 refinement",
            REFINE_CONFIG,
            [
                *self._model_settings(),
                *frame_settings(targets, self.frames.shape, size, self.azimuths),
                f"data.random_camera.batch_size={self.frames.shape[0] * self.frames.shape[1]}",
                path_setting("system.weights", fitted),
                f"system.prompt_processor.prompt={video.prompt}",
                *video_model_settings(video.weights, video.checkpoint),
                *overrides,
            ],
            inputs={"fitted": fitted, "targets": targets},
            settings={"overrides": overrides, "prompt": video.prompt, "weights": video.identity()["weights"]},
        )

    def _render_targets(self, fitted: Path, folder: Path) -> None:
        """Every frame from the videos' cameras, in the colours that refinement knows."""
        motion = self.motion(fitted, view_dependent=False)
        cameras = self.cameras(self.options.target_size)
        with counted(len(self.azimuths), "renders", "view") as tell:
            views = []
            for v in range(len(self.azimuths)):
                views.append(np.stack([draw(motion, frame, cameras[v : v + 1])[0] for frame in range(motion.frames)]))
                tell(v + 1)
        save_frames(folder, np.stack(views))

    def write_results(self, checkpoint: Path, score: float | None) -> GaussianResult:
        """Step 7: ply sequence, trajectory, renders and turntable."""
        out, fps, size = self.options.out, self.options.fps, self.options.render_size
        files = {"plys": out / "frames_ply", "trajectory": out / "trajectory.npz", "renders": out / "renders"}
        video, sheet = out / "turntable.mp4", out / "turntable.png"
        motion = self.motion(checkpoint)
        own = motion.in_file_of(self.model, self.placement)

        def save_plys() -> None:
            up = "y" if abs(self.placement.rotation[2, 1]) > 0.7 else "z"
            write_ply_sequence(own.gaussians, own.frames, files["plys"], fps=fps, up_axis=up)

        def save_paths() -> None:
            rows = np.flatnonzero(self.kept)
            save_trajectory(own, files["trajectory"], fps=fps, placement=self.placement, source_rows=rows)

        def render_views() -> None:
            render_testset(motion, files["renders"], size=size)

        def turn() -> None:
            render_turntable(motion, video, sheet, fps=fps, size=size)

        def show() -> dict[str, Any]:
            return write_run_page(self, MovingGaussians(motion, fps))

        results: list[tuple[str, Callable[[], dict[str, Any] | None], list[Path], dict[str, Any]]] = [
            ("ply sequence", save_plys, [files["plys"]], {"fps": fps}),
            ("trajectory", save_paths, [files["trajectory"]], {"fps": fps}),
            ("renders", render_views, [files["renders"]], {"size": size}),
            ("turntable", turn, [video, sheet], {"fps": fps, "size": size}),
            ("preview", show, [out / PAGE], {"fps": fps}),
        ]
        inputs = {"checkpoint": checkpoint, "model": self.model_file, "placement": self.placement_file}
        for name, action, outputs, settings in results:
            self.steps.run(f"7 {name}", action, inputs=inputs, settings=settings, outputs=outputs)
        displacement = self._displacement(files["trajectory"])
        return GaussianResult(
            {**files, "sheet": sheet}, video, self.steps.path, displacement, self.steps.seconds(), score
        )

    def motion(self, checkpoint: Path, *, view_dependent: bool = True) -> GaussianMotion:
        """What was computed, fitted or refined, with or without the bands of colour that depend on the view."""
        if self.computed:
            points = self.placement.apply(core(self.model)) if self.computed.body is None else self.surface().vertices
            body = MovingBody(points, self.computed, self.options.move_frames)
            return GaussianMotion(self.placed, body.frames, partial(carried, self.placed, body))
        placed = self.placed if view_dependent else replace(self.placed, sh=self.placed.sh[:, :1])
        motion, times = load_motion(checkpoint), frame_times(self.frames.shape[1]).tolist()
        # All Gaussians start where the surface takes them; the field, a function of space, holds for all.
        follows = self.thinned and self.options.track
        carrier = Carrier(self.placed, MovingSurface.load(self.surface_file)) if follows else None
        still = (self.placed.means, self.placed.quats) if self.thinned else None

        def pose(frame: int) -> Pose:
            start = still if carrier is None else carrier.pose(frame)
            return Pose(*motion.pose(self.placed, times[frame], start))

        return GaussianMotion(placed, len(times), pose)

    def _displacement(self, trajectory: Path) -> float:
        """`GaussianResult.mean_displacement` of a ``trajectory.npz``."""
        with np.load(trajectory, allow_pickle=False) as data:
            means = torch.from_numpy(data["means"])
        moves = sum(float((frame - means[0]).norm(dim=-1).mean()) for frame in means[1:]) / (len(means) - 1)
        return moves / float(np.linalg.norm(np.ptp(core(self.model), axis=0)))

    def _model_settings(self) -> list[str]:
        return [
            path_setting("system.geometry.geometry_convert_from", self.fitted_file),
            path_setting("system.geometry.load_ply_cfg.placement", self.placement_file),
        ]


def carried(placed: Gaussians, body: MovingBody, frame: int) -> Pose:
    """Placed Gaussians in a frame of a computed motion: turned and stretched as space is around them."""
    if frame == 0:
        return Pose(placed.means, placed.quats, placed.scales)
    means, change = body.around(placed.means.numpy(), frame)
    along = torch.from_numpy(change).float() @ quaternion_to_matrix(placed.quats)
    turn = matrix_to_quaternion(torch.from_numpy(nearest_rotations(change)).float())
    quats = quaternion_multiply(turn, placed.quats)
    return Pose(torch.from_numpy(means).float(), quats, placed.scales * along.norm(dim=1))


def _check(options: GaussianOptions) -> None:
    """What would otherwise come to light only after minutes of work.

    Raises:
        InputError: a value that cannot be used.
    """
    if options.refine and options.video is None:
        raise InputError("Refinement needs the video model: give --prompt and --weights as well as --refine.")
    if options.refine and options.views != STATIC_VIEWS:
        raise InputError(f"Refinement works with {STATIC_VIEWS} views, got {options.views}.")
    if not options.refine and options.frames is not None and options.video is not None:
        raise InputError("Give either a prompt or a folder of frames (both only with --refine).")
    if not options.refine and settings_of(REFINE, options.overrides):
        raise InputError("Settings that begin with `refine:` are for --refine.")
    if min(options.render_size, options.target_size) < 16:
        raise InputError("Renders need at least 16 pixels.")
