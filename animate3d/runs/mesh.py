"""The steps from a mesh, and a sentence or videos, to an animated file as one resumable run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from animate3d.cameras import Cameras, reconstruction_cameras
from animate3d.errors import InputError, MissingDependencyError
from animate3d.export import SUFFIXES, export_with_report, preview
from animate3d.export.blender import blender
from animate3d.files import content_hash
from animate3d.gaussians import from_mesh, load_ply, save_edges, save_ply
from animate3d.meshes import Mesh, load_mesh
from animate3d.meshes.appearance import vertex_colors
from animate3d.motion.appearance import fit_appearance
from animate3d.motion.cycle import close_cycle
from animate3d.motion.start import save_start
from animate3d.motion.template import Surface
from animate3d.motion.trajectory import Trajectory, weld
from animate3d.rasterize.textured import render_mesh
from animate3d.rotations import matrix_to_quaternion
from animate3d.runs import alignment
from animate3d.runs.base import STATIC_CONFIG, VISUALIZE_CONFIG, Run, RunOptions, check_options, reduced

__all__ = ["FIT_CONFIG", "STATIC_CONFIG", "VISUALIZE_CONFIG", "AnimateOptions", "AnimateResult", "animate"]

FIT_CONFIG = "custom/threestudio-animate3d/configs/mesh_animation_tracked.yaml"
FIT_SIZE = 128  # pixels; where appearance and motion are fitted
APPEARANCE_STEPS = 120


@dataclass(frozen=True)
class AnimateOptions(RunOptions):
    """What `animate` is asked for: `RunOptions` of a mesh file or an object folder.

    Attributes:
        formats: suffixes without the dot.
        max_morphs: largest number of morph targets in FBX and glTF.
        loop: close the motion, so that it can be played in a loop.
    """

    config: str = FIT_CONFIG
    formats: tuple[str, ...] = ("glb", "usdc")
    max_morphs: int | None = None
    loop: bool = False


@dataclass(frozen=True)
class AnimateResult:
    """Where everything is, and the motion itself."""

    files: dict[str, Path]
    preview: Path
    record: Path
    trajectory: Trajectory
    mean_displacement: float
    """Of all vertices over the frames after the first, as a share of the bounding-box diagonal."""
    seconds: dict[str, float]
    """Of every step, now or in an earlier run."""
    score: float | None
    """Of the best of several samples; None when there was only one."""


def animate(options: AnimateOptions, announce: Callable[[str], None] = lambda line: None) -> AnimateResult:
    """Animate a mesh from a prompt (all seven steps) or from synchronised videos (steps 1, 2, 5, 6 and 7).

    Raises:
        InputError: an input cannot be used, or frame 0 does not show the placed mesh.
    """
    run = _Run(options, announce)
    run.convert()
    run.render_static()
    score = run.choose_frames() if options.frames is None else None
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
    return AnimateResult(
        files, options.out / "preview.mp4", run.steps.path, trajectory, displacement, run.steps.seconds(), score
    )


class _Run(Run):
    """The steps of a mesh."""

    fit_size, fit_name, called = FIT_SIZE, "mesh", "mesh"
    options: AnimateOptions

    def __init__(self, options: AnimateOptions, announce: Callable[[str], None]) -> None:
        _check(options)
        self.options = options
        self.mesh: Mesh = load_mesh(options.model)
        # Of what is used, not of the folders: the results may lie in them.
        self.mesh_hash = content_hash(self.mesh)
        if options.frames is not None:  # told now, not after a minute of work
            self.read_frames(options.frames)
        self.placement = self.placement_given() or self.mesh.automatic_placement()
        self.begin(announce, mesh=str(options.model))
        self.edges, self.start = self.work / "model.json", self.work / "start.npz"
        self.placed_model = self.work / "placed.ply"
        self.trajectory = self.work / "mesh_vis" / "object" / "save" / "mesh_trajectory"

    def draw(self, cameras: Cameras) -> Tensor:
        placed = np.asarray(self.placement.apply(self.mesh.vertices))[None]
        return torch.from_numpy(render_mesh(self.mesh, placed, cameras, shading=False)[:, 0]).float() / 255

    def surface(self) -> Surface:
        vertices = np.asarray(self.placement.apply(self.mesh.vertices))
        return Surface(vertices, self.mesh.triangles()[0], self.mesh.welded(), vertex_colors(self.mesh))

    def advise(self, masks: Tensor) -> alignment.Advice:
        return alignment.suggest(self.mesh, self.placement, masks)

    def convert(self) -> None:
        """Step 1: one Gaussian per vertex, the edges, the placement."""

        def action(resuming: bool) -> dict[str, Any]:
            save_ply(from_mesh(self.mesh), self.model_file)
            save_edges(self.mesh, self.edges)
            self.placement.save(self.placement_file)
            return {"vertices": self.mesh.n_vertices}

        self.steps.run(
            "1 mesh to Gaussians",
            action,
            inputs={"mesh": self.mesh_hash},
            settings={"placement": self.placement.matrix().tolist()},
            outputs=[self.model_file, self.edges, self.placement_file],
        )

    def fit_appearance(self) -> None:
        """Gaussians that look like frame 0, in the placed frame."""

        def action(resuming: bool) -> None:
            images = reduced(self.frames[:, 0], FIT_SIZE)
            with tqdm(total=APPEARANCE_STEPS, desc="appearance", unit="step") as bar:
                fitted = fit_appearance(
                    load_ply(self.model_file).transformed(self.placement),
                    images,
                    reconstruction_cameras(len(images), images.shape[1]),
                    steps=APPEARANCE_STEPS,
                    progress=lambda step: bar.update(1) and None,
                )
            save_ply(fitted, self.placed_model)

        self.steps.run(
            "5 appearance",
            action,
            inputs={"model": self.model_file, "placement": self.placement_file, "frames": self.frames_hash},
            settings={"views": len(self.frames), "size": FIT_SIZE, "steps": APPEARANCE_STEPS},
            outputs=[self.placed_model],
        )

    def track(self) -> None:
        """A coarse motion for the fit to start from."""

        def action(resuming: bool) -> None:
            positions, rotations = self.track_surface(self.surface())
            save_start(self.start, torch.from_numpy(positions), matrix_to_quaternion(torch.from_numpy(rotations)))

        self.steps.run(
            "5 tracking",
            action,
            inputs={"mesh": self.mesh_hash, "placement": self.placement_file, "frames": self.frames_hash},
            settings={"views": len(self.frames), "rigidity": self.rigidity},
            outputs=[self.start],
        )

    def fit(self) -> None:
        """Step 5: the deformation field."""
        overrides = self.options.overrides
        keys = [
            f"system.geometry.geometry_convert_from={self.placed_model}",
            *self.data_keys(),
            f"system.connected_vertices_info_path={self.edges}",
            f"system.geometry.initial_motion={self.start}",
            *self.rigidity_keys(),
            *overrides,
        ]
        inputs: dict[str, Path | str] = {"model": self.placed_model, "edges": self.edges, "start": self.start}
        self.train(
            "5 motion",
            self.options.config,
            self.fit_name,
            keys,
            inputs={**inputs, "frames": self.frames_hash},
            settings={"overrides": overrides, "views": len(self.frames), "rigidity": self.rigidity},
        )

    def visualize(self) -> None:
        """Step 6: the trajectory, and the 4D Gaussians from the four views."""
        keys = [
            "name=mesh_vis",
            *self.trial_keys(),
            *self.data_keys(),
            f"resume={self.checkpoint}",
            "system.save_gaussian_trajectory=True",
            *self.four_view_keys(self.frames.shape[2]),
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
        welded = replace(loaded, positions=weld(loaded.positions, self.mesh.welded()))
        return close_cycle(welded) if self.options.loop else welded

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
            settings={"fps": options.fps, "max_morphs": options.max_morphs, "loop": options.loop},
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
            settings={"fps": options.fps, "loop": options.loop},
            outputs=[options.out / "preview.mp4", options.out / "preview.png"],
        )


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
    if options.max_morphs is not None and options.max_morphs < 1:
        raise InputError(f"The number of morph targets is limited to {options.max_morphs}; at least 1 is needed.")
    if options.frames is not None and options.video is not None:
        raise InputError("Give either a prompt or a folder of frames.")
    check_options(options)
