"""From a mesh, and a sentence or videos, to an animated file as one resumable run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from animate3d.cameras import ELEVATION, Cameras, orbit_cameras
from animate3d.errors import InputError, MissingDependencyError
from animate3d.export import SKINNED, SUFFIXES, Skinned, export_with_report, preview
from animate3d.export.blender import blender
from animate3d.export.clip import check_clip_name
from animate3d.export.gaussian_motion import draw_still
from animate3d.export.inbetweens import check_rate
from animate3d.export.skeleton import check_rig
from animate3d.files import atomic_file, content_hash
from animate3d.frames import GREY, composite
from animate3d.gaussians import Gaussians, from_mesh, load_ply, save_edges, save_ply
from animate3d.meshes import Mesh, Placement
from animate3d.meshes.appearance import paint_of, vertex_colors
from animate3d.meshes.scene import Scene
from animate3d.meshes.scene_file import load_models
from animate3d.motion.appearance import fit_appearance
from animate3d.motion.checkpoint import load_motion
from animate3d.motion.contacts import TOLERANCE, keep_apart
from animate3d.motion.cycle import close_cycle
from animate3d.motion.start import load_start, save_objects, save_start
from animate3d.motion.template import Surface
from animate3d.motion.trajectory import Trajectory, save_placed_folder, weld
from animate3d.orbits import frame_times
from animate3d.progress import counted
from animate3d.rasterize.textured import render_mesh
from animate3d.rotations import matrix_to_quaternion
from animate3d.runs.base import Run, check_options
from animate3d.runs.fit import Training, path_setting
from animate3d.runs.moves import PARTS, Computed, MovingBody, save_parts
from animate3d.runs.object_masks import read_object_masks
from animate3d.runs.options import AnimateOptions
from animate3d.runs.page import PAGE, write_run_page
from animate3d.runs.skeleton import asked_skeleton, skeleton_step
from animate3d.viewer.moving import MovingMesh

UNSEEN = (45.0, 225.0)  # degrees from the first video to views that no video shows
PREVIEW_SIZE = 256  # pixels
FIT_SIZE = 128  # pixels; where appearance and field are fitted
APPEARANCE_STEPS = 120
_SUPERSAMPLE = 4  # samples per pixel along each axis: what the video model sees has smooth edges


@dataclass(frozen=True)
class AnimateResult:
    """Where everything is, and the motion itself."""

    files: dict[str, Path]
    preview: Path
    record: Path
    trajectory: Trajectory
    mean_displacement: float
    """Mean over all vertices and frames after the first, as a share of the bounding-box diagonal."""
    seconds: dict[str, float]
    """What every step took, now or in an earlier run."""
    score: float | None
    """Score of the best of several samples; None when there was only one."""
    skeleton: str | None = None
    """Bones and errors of the skeleton in the files; None without one."""


def animate(options: AnimateOptions, announce: Callable[[str], None] = lambda line: None) -> AnimateResult:
    """Animate a mesh from a prompt or from synchronised videos.

    Raises:
        InputError: an input cannot be used, frame 0 does not show the placed mesh, or another run is at work in the
            same folder.
    """
    check_mesh_options(options)
    check_options(options)
    run = MeshRun(options, announce)
    with run.at_work():
        run.place()
        score = None
        if options.frames is None:
            if options.field and options.moves == "auto":
                announce(
                    "note: a field is fitted to videos (--field, or key=value for its fit), so no motion is computed"
                )
            run.render_static()
            score = run.choose_frames()
        return finish(run, run.find_motion(), score)


@contextmanager
def before_videos(options: AnimateOptions, announce: Callable[[str], None] = lambda line: None) -> Iterator[MeshRun]:
    """The steps of `animate` before the videos of a prompt; inside, `MeshRun.choose_frames` makes these."""
    check_mesh_options(options)
    check_options(options)
    run = MeshRun(options, announce)
    with run.at_work():
        run.place()
        run.render_static()
        yield run


def finish(run: MeshRun, start: Path, score: float | None = None) -> AnimateResult:
    """Steps 5 with a field to 7: from the tracked motion to the files.

    Args:
        start: what `MeshRun.track` wrote.
        score: see `AnimateResult`.
    """
    options = run.options
    run.save_trajectory(run.fit(start) if options.field else start)
    trajectory = run.read_trajectory()
    skeleton = skeleton_step(run, options, run.model, trajectory)
    files = {suffix: run.export(trajectory, suffix, skeleton) for suffix in options.formats}
    run.preview(trajectory)
    run.tell_of_earlier(files.values())
    moved = np.linalg.norm(trajectory.positions[1:] - trajectory.positions[:1], axis=-1)
    displacement = float(moved.mean() / run.model.diagonal()) if len(moved) else 0.0
    return AnimateResult(
        files,
        options.out / "preview.mp4",
        run.steps.path,
        trajectory,
        displacement,
        run.steps.seconds(),
        score,
        None if skeleton is None else skeleton.summary,
    )


class MeshRun(Run):
    """The steps of a mesh."""

    fit_size, fit_name, called = FIT_SIZE, "mesh", "mesh"
    options: AnimateOptions
    model: Mesh

    @property
    def ends_in_tracking(self) -> bool:  # type: ignore[override]
        return not self.options.field

    @property
    def needs_videos(self) -> bool:  # type: ignore[override]
        return self.options.field

    def described(self) -> dict[str, Any]:
        return super().described() | {"others": self.options.others, "objects": self.options.objects}

    def read_model(self) -> tuple[Mesh, str]:
        keeps = asked_skeleton(self.options) == "keep"
        mesh = load_models((self.options.model, *self.options.others), self.options.objects, keeps_rig=keeps)
        if keeps:
            check_rig(mesh)  # before hours of videos
        return mesh, content_hash(mesh)  # of what is used, not of the folder: the results may lie in it

    def automatic_placement(self) -> Placement:
        return self.model.automatic_placement()

    def extent(self) -> np.ndarray:
        return self.model.vertices[np.unique(self.model.corners)]

    @cached_property
    def placed(self) -> np.ndarray:
        """Vertices ``[N, 3]`` where the cameras see them."""
        return np.asarray(self.placement.apply(self.model.vertices))

    def draw(self, cameras: Cameras) -> Tensor:
        drawn = render_mesh(self.model, self.placed[None], cameras, supersample=_SUPERSAMPLE, shading=False)
        rgba = torch.from_numpy(drawn[:, 0]).float() / 255
        return torch.cat([composite(rgba, GREY), rgba[..., 3:]], dim=-1)

    def draw_splats(self, cameras: Cameras) -> Tensor:
        return draw_still(from_mesh(self.model).transformed(self.placement), cameras)

    def surface(self) -> Surface:
        mesh = self.model
        objects = mesh.objects if isinstance(mesh, Scene) else None
        colors, paint = vertex_colors(mesh), paint_of(mesh)
        return Surface(self.placed, mesh.triangles()[0], mesh.welded(), colors, objects, paint)

    @cached_property
    def object_ids(self) -> np.ndarray | None:
        folder = self.options.object_masks
        views, frames = self.frames.shape[:2]
        return None if folder is None else read_object_masks(folder, views, frames, self.model)

    def shown(self, surface: Surface) -> Mesh:
        return self.model

    @property
    def trajectory(self) -> Path:
        """Folder of the vertices at every frame, in the placed frame."""
        return self.work / "trajectory"

    @property
    def skeleton(self) -> Path:
        """File of the bones, where some are asked for."""
        return self.work / "skeleton.npz"

    def place(self) -> None:
        """Step 1: how the mesh stands before the cameras."""
        self.steps.run(
            "1 placement",
            lambda: self.placement.save(self.placement_file),
            inputs={"mesh": self.model_hash},
            settings={"placement": self.placement.matrix().tolist()},
            outputs=[self.placement_file],
        )

    def find_motion(self) -> Path:
        """Step 5: the motion that is computed, else the one that the frames show. Returns its file."""
        if self.computed:
            return self.move(self.computed)
        self.check_alignment()
        return self.track()

    def move(self, computed: Computed) -> Path:
        """Step 5: the mesh moved as a sentence says."""
        path, self.frames_hash = self.work / "moved.npy", "none"

        def save() -> dict[str, Any]:
            body = MovingBody(self.placed, computed, self.options.move_frames)
            save_parts(self.options.out, self.surface(), computed)
            with atomic_file(path) as temporary:
                positions = np.stack([body.at(self.placed, frame) for frame in range(body.frames)])
                np.save(temporary, positions, allow_pickle=False)
            return computed.facts()

        self.steps.run(
            "5 move",
            save,
            inputs={"mesh": self.model_hash, "placement": self.placement_file},
            settings=computed.identity(self.options.move_frames),
            outputs=[path] if computed.body is None else [path, self.options.out / PARTS],
        )
        return path

    def track(self) -> Path:
        """Step 5: the mesh followed through the frames. Returns the file of its motion."""
        path = self.work / "start.npz"

        def save(surface: Surface, positions: np.ndarray, rotations: np.ndarray) -> None:
            self.save_motion(path, positions, rotations)

        return self.track_step(self.model_hash, save, path)

    @staticmethod
    def save_motion(path: Path, positions: np.ndarray, rotations: np.ndarray) -> None:
        """Write positions ``[F, N, 3]`` and rotations ``[F, N, 3, 3]``, to be read by `load_start`."""
        quaternions = torch.empty((*positions.shape[:2], 4))
        for f, frame in enumerate(rotations):
            quaternions[f] = matrix_to_quaternion(torch.from_numpy(frame))
        save_start(path, torch.from_numpy(positions), quaternions)

    def fit(self, start: Path) -> Path:
        """Step 5 with ``--field``: a Gaussian per vertex that looks like frame 0, and the field that moves them."""
        edges, placed = self.work / "model.json", self.work / "placed.ply"
        self.steps.run(
            "5 appearance",
            lambda: self._fit_appearance(placed, edges),
            inputs={"mesh": self.model_hash, "placement": self.placement_file, "frames": self.frames_hash},
            settings={"azimuths": self.azimuths, "size": FIT_SIZE, "steps": APPEARANCE_STEPS},
            outputs=[placed, edges],
        )
        keys = [
            path_setting("system.geometry.geometry_convert_from", placed),
            path_setting("system.connected_vertices_info_path", edges),
            path_setting("system.geometry.initial_motion", start),
        ]
        training = Training(self.work, self.fit_name, self.options.seed, self.options.gpu)
        inputs: dict[str, Path | str] = {"model": placed, "edges": edges, "start": start}
        if isinstance(self.model, Scene):
            inputs["objects"] = objects = self.work / "objects.npy"
            save_objects(objects, self.model.objects)
            keys.append(path_setting("system.geometry.object_ids_path", objects))
        return self.fit_field(training, keys, inputs)

    def _fit_appearance(self, placed: Path, edges: Path) -> None:
        images = reduced(self.frames[:, 0], FIT_SIZE)
        with counted(APPEARANCE_STEPS, "appearance", "step") as tell:
            fitted = fit_appearance(
                from_mesh(self.model).transformed(self.placement),
                images,
                self.cameras(images.shape[1]),
                steps=APPEARANCE_STEPS,
                progress=lambda step: tell(step + 1),
            )
        save_ply(fitted, placed)
        save_edges(self.model, edges)

    def save_trajectory(self, motion: Path) -> None:
        """Step 6: the vertices at every frame, of a tracked motion or of a field's checkpoint."""

        scene = self.model if isinstance(self.model, Scene) else None

        def save() -> dict[str, float]:
            positions, facts = self.positions(motion), {}
            if scene is not None:
                with counted(len(positions) - 1, "contacts", "frame") as tell:
                    apart = keep_apart(positions, scene.triangles()[0], scene.objects, tell)
                positions = apart.positions
                facts = {"overlap_before": float(apart.before.max()), "overlap": float(apart.after.max())}
            save_placed_folder(self.trajectory, positions)
            return facts

        settings = {} if scene is None else {"contacts": TOLERANCE}
        facts = self.steps.run(
            "6 trajectory", save, inputs={"motion": motion}, settings=settings, outputs=[self.trajectory]
        )
        if facts.get("overlap_before", 0.0) > TOLERANCE:
            self.announce(
                f"objects had moved into each other by up to {100 * facts['overlap_before']:.1f} % of the smaller "
                f"one's diagonal; {100 * facts['overlap']:.1f} % are left"
            )

    def positions(self, motion: Path) -> np.ndarray:
        """Placed vertices ``[F, N, 3]`` of a computed or tracked motion, or of a field's checkpoint."""
        if motion.suffix == ".npy":
            return np.load(motion, allow_pickle=False)
        if not self.options.field:
            return load_start(motion, self.model.n_vertices)[0].numpy()
        gaussians: Gaussians = load_ply(self.work / "placed.ply")
        fitted, times = load_motion(motion), frame_times(self.frames.shape[1]).tolist()
        return np.stack([fitted.pose(gaussians, time)[0].numpy() for time in times])

    def read_trajectory(self) -> Trajectory:
        """The vertices at every frame in the mesh's own coordinates; copies along seams stay together."""
        loaded = Trajectory.load_npy_folder(
            self.trajectory, self.placement, self.model.n_vertices, fps=self.options.fps
        )
        welded = replace(loaded, positions=weld(loaded.positions, self.model.welded()))
        closed = close_cycle(welded) if self.options.loop else welded
        if closed.n_frames > welded.n_frames:
            self.announce(
                "note: this motion does not come back by itself, so --loop plays it forwards and then backwards"
            )
        return closed

    def export(self, trajectory: Trajectory, suffix: str, skeleton: Skinned | None = None) -> Path:
        """Step 7: one format, with the skeleton where it can hold one."""
        options = self.options
        target = options.out / f"animation.{suffix}"
        settings: dict[str, Any] = {
            name: getattr(options, name) for name in ("fps", "max_morphs", "loop", "clip_name", "resample")
        }
        if options.engine is not None:
            settings["engine"] = options.engine
        inputs: dict[str, Path | str] = {"trajectory": self.trajectory, "mesh": self.model_hash}
        skinned = skeleton if suffix in SKINNED else None
        if skinned is not None:
            inputs["skeleton"] = self.skeleton

        def write() -> dict[str, Any]:
            report = export_with_report(self.model, trajectory.positions, target, **settings, skeleton=skinned or "off")
            return {"report": str(report).removeprefix(f"{options.out}/")}

        self.steps.run(
            f"7 {suffix}",
            write,
            inputs=inputs,
            settings=settings,
            outputs=[target],
            alone=suffix == "fbx",  # Blender's module bears no thread beside it
        )
        return target

    def tell_of_earlier(self, files: Iterable[Path]) -> None:
        """Name the animated files in the folder that are not of this motion."""
        files = set(files)
        now, out = self.trajectory.stat().st_mtime, self.options.out
        others = [path for path in sorted(out.glob("animation.*")) if path not in files and path.suffix[1:] in SUFFIXES]
        earlier = [path.name for path in others if path.stat().st_mtime < now]
        if earlier:
            self.announce(f"note: of an earlier motion, as --formats does not name them: {', '.join(earlier)} in {out}")

    def preview(self, trajectory: Trajectory) -> None:
        """Pictures for people: the textured mesh in the views of the videos, then in two that nothing was fitted to."""
        options = self.options
        azimuths = [*self.azimuths, *(self.azimuths[0] + turn for turn in UNSEEN)]

        def show() -> dict[str, Any]:
            placed = trajectory.to_placed(self.placement)
            cameras = orbit_cameras(ELEVATION, azimuths, size=PREVIEW_SIZE)
            preview(self.model, placed, options.out, cameras, fps=options.fps)
            return write_run_page(self, MovingMesh(self.model, placed, options.fps, options.loop))

        self.steps.run(
            "7 preview",
            show,
            inputs={"trajectory": self.trajectory, "mesh": self.model_hash, "frames": self.frames_hash},
            settings={"fps": options.fps, "loop": options.loop, "azimuths": azimuths},
            outputs=[options.out / "preview.mp4", options.out / "preview.png", options.out / PAGE],
        )


def reduced(images: Tensor, size: int) -> Tensor:
    """``[V, H, W, 4]`` at most ``size`` pixels high."""
    if images.shape[1] <= size:
        return images
    return torch.nn.functional.interpolate(images.movedim(-1, 1), size=(size, size), mode="area").movedim(1, -1)


def check_mesh_options(options: AnimateOptions) -> None:
    """What would otherwise come to light only after minutes of work.

    Raises:
        InputError: a value that cannot be used.
        MissingDependencyError: a format that nothing on this machine can write.
    """
    check_formats(options.formats)
    check_clip_name(options.clip_name)
    asked_skeleton(options)
    if options.max_morphs is not None and options.max_morphs < 1:
        raise InputError(f"The number of morph targets is limited to {options.max_morphs}; at least 1 is needed.")
    if options.resample is not None:
        check_rate(options.resample)
    if options.frames is not None and options.video is not None:
        raise InputError("Give either a prompt or a folder of frames, not both.")
    if options.object_masks is not None and options.frames is None:
        raise InputError("--object-masks belongs to --frames, whose images it says the objects of.")
    if options.overrides and not options.field:
        raise InputError(
            f"`{options.overrides[0]}` is a setting of the field's fit, which only runs with --field; add it or leave "
            "the setting out."
        )


def check_formats(formats: Sequence[str]) -> None:
    """Suffixes that this machine can write.

    Raises:
        InputError: none, or an unknown one.
        MissingDependencyError: one that nothing on this machine can write.
    """
    unknown = [suffix for suffix in formats if suffix not in SUFFIXES]
    if unknown:
        raise InputError(f"The format `{unknown[0]}` is unknown; known are: {', '.join(SUFFIXES)}.")
    if not formats:
        raise InputError(f"No format is given; known are: {', '.join(SUFFIXES)}.")
    needs_blender = [suffix for suffix in formats if suffix in ("fbx", "abc")]
    if needs_blender and not blender():
        raise MissingDependencyError(
            f"Writing {needs_blender[0]} needs Blender: pip install 'animate3d[blender]' (Python 3.11), or put a "
            "`blender` executable on the PATH; glb and usdc do not need it."
        )
