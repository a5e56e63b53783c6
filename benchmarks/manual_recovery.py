"""How well known motions are recovered, and what each part is worth (the tables of docs/motion.md).

Run by hand, it takes long:

    python benchmarks/manual_recovery.py --levels tracking field          # about half an hour on two cores
    python benchmarks/manual_recovery.py --levels documented       # about 30 minutes
    python benchmarks/manual_recovery.py --folders FOLDER --views 4 2 side front --levels tracking
    python benchmarks/manual_recovery.py --views front --levels tracking --rows pull     # some rows

A folder holds the model of somebody else in known motion: ``mesh/``, ``frames/{v*16+f}.png`` of the automatically
placed mesh from the four reconstruction cameras, and ``truth.npy [F, N, 3]`` in the mesh's own coordinates.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch

from animate3d.cameras import reconstruction_cameras
from animate3d.creatures.dragon import MOTIONS, demo_asset, write_demo_frames
from animate3d.evaluation.recovery import held_out_psnr, recovery
from animate3d.frames import load_frames
from animate3d.gaussians import from_mesh, save_edges, save_ply
from animate3d.meshes import load_mesh
from animate3d.meshes.appearance import paint_of, vertex_colors
from animate3d.motion import depth, matching, template, tracking
from animate3d.motion.appearance import fit_appearance
from animate3d.motion.depth import DepthPrior
from animate3d.motion.harmless import keep_what_explains
from animate3d.motion.objects import fit_of
from animate3d.motion.returns import Returns
from animate3d.motion.start import save_start
from animate3d.motion.template import NODES
from animate3d.motion.texture import Sight
from animate3d.motion.tracking import TrackSettings, track
from animate3d.motion.trajectory import load_placed_folder
from animate3d.rotations import matrix_to_quaternion
from animate3d.runs.mesh import APPEARANCE_STEPS, FIT_SIZE, reduced
from animate3d.runs.options import MESH_CONFIG

VISUALIZE_CONFIG = "custom/threestudio-animate3d/configs/visualize_four_view_frame_16.yaml"

DOCUMENTED = "custom/threestudio-animate3d/configs/mesh_animation_frame_16.yaml"
VIEWS = {"4": [0, 1, 2, 3], "2": [0, 1], "side": [1], "front": [0]}  # of the four reconstruction cameras
LOOSER = ["system.loss.lambda_arap=1.0", "system.grad_ratio=1.0", "system.geometry.delta_xyz_network_lr=0.001"]


class Case:
    """One known motion and what is measured on it.

    Args:
        motion: of the demo creature; or the name of ``given``.
        folder: for what is written.
        given: folder of a model in known motion, see above.
    """

    def __init__(self, motion: str, folder: Path, frames: int, given: Path | None = None) -> None:
        self.motion, self.folder = motion, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.mesh = load_mesh(given / "mesh" if given else demo_asset())
        self.placement = self.mesh.automatic_placement()
        if given:
            self.truth = np.load(given / "truth.npy", allow_pickle=False).astype(np.float64)
            self.frames = load_frames(given / "frames", 4, len(self.truth))
        else:
            self.truth = write_demo_frames(motion, folder / "frames", frames_per_view=frames)
            self.frames = load_frames(folder / "frames", 4, frames)
        self.views = VIEWS["4"]
        self.start: tuple[np.ndarray, np.ndarray] | None = None

    def report(self, label: str, placed: np.ndarray, seconds: float) -> None:
        positions = np.asarray(self.placement.invert(placed))
        found = recovery(positions, self.truth)
        psnr = held_out_psnr(self.mesh, positions, self.truth, self.placement)
        print(
            f"| {self.motion} | {label} | {100 * found.error:.2f} % | {found.relative_error:.3f} | {psnr:.1f} | "
            f"{seconds:.0f} s |",
            flush=True,
        )

    def tracked(
        self,
        settings: TrackSettings,
        size: int = 256,
        nodes: int = NODES,
        bonds: float | None = None,
        keep: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions ``[F, N, 3]`` and rotations.

        Args:
            size: of the frames, in pixels.
            nodes: how many are tracked.
            bonds: firmness of those between loose pieces, None as they are.
            keep: hold still what explains the frames less than standing still, as `animate` does.
        """
        seen = self.frames[self.views]
        frames = reduced(seen.flatten(0, 1), size).unflatten(0, seen.shape[:2])
        model = template.Template(
            np.asarray(self.placement.apply(self.mesh.vertices)),
            self.mesh.triangles()[0],
            self.mesh.welded(),
            vertex_colors(self.mesh),
            nodes=nodes,
            paint=paint_of(self.mesh),
        )
        if bonds is not None:
            model.bonds = model.bonds._replace(firmness=np.full(len(model.bonds.pairs), bonds))
        cameras = reconstruction_cameras(4, size)[self.views]
        positions, rotations, _ = track(model, frames.numpy(), cameras, settings)
        if keep:
            positions = keep_what_explains(self.mesh, positions, frames, cameras).positions
        return positions, rotations

    def varied(self, variant: Variant) -> np.ndarray:
        """Positions ``[F, N, 3]`` of the tracker without one of its parts."""
        with variant.without():
            return self.tracked(variant.settings, **variant.options)[0]

    def fitted(self, config: str, *, start: bool, appearance: bool, overrides: list[str]) -> np.ndarray:
        from animate3d.studio.launch import launch

        gaussians = from_mesh(self.mesh).transformed(self.placement)
        if appearance:
            images = reduced(self.frames[:, 0], FIT_SIZE)
            gaussians = fit_appearance(gaussians, images, reconstruction_cameras(4, FIT_SIZE), steps=APPEARANCE_STEPS)
        save_ply(gaussians, self.folder / "placed.ply")
        save_edges(self.mesh, self.folder / "edges.json")
        keys = ["tag=case", f"exp_root_dir={self.folder}", "system.prompt_processor.prompt=measure"]
        count = self.frames.shape[1]
        keys += [f"{key}={count}" for key in ("data.total_frame", "system.n_frame", "data.random_camera.total_frame")]
        fit = [
            f"system.geometry.geometry_convert_from={self.folder / 'placed.ply'}",
            *(f"system.geometry.load_ply_cfg.{key}" for key in ("rot_x_degree=0", "rot_z_degree=0", "scale_factor=1")),
            f"data.image_root={self.folder / 'frames'}",
            f"system.connected_vertices_info_path={self.folder / 'edges.json'}",
            "data.random_camera.n_val_views=1",
        ]
        if start:
            assert self.start is not None
            positions, rotations = (torch.from_numpy(part) for part in self.start)
            save_start(self.folder / "start.npz", positions, matrix_to_quaternion(rotations))
            fit.append(f"system.geometry.initial_motion={self.folder / 'start.npz'}")
        trained = launch(config, ["name=fit", *keys, *fit, *overrides], "train")
        small = ["data.random_camera.eval_height=32", "data.random_camera.eval_width=32"]
        show = ["name=vis", f"resume={trained.checkpoint}", "system.save_gaussian_trajectory=True", *small]
        shown = launch(VISUALIZE_CONFIG, [*keys, *show], "test")
        return load_placed_folder(Path(shown.trial_dir) / "save" / "mesh_trajectory", self.mesh.n_vertices)


class Variant(NamedTuple):
    """The tracker, or the tracker without one of its parts.

    Attributes:
        settings: of the tracker.
        without: takes a part away; what it replaces comes back afterwards.
        options: of `Case.tracked`.
        views: how many of them the part is for.
    """

    settings: TrackSettings = TrackSettings()
    without: Callable[[], AbstractContextManager[object]] = nullcontext
    options: Mapping[str, Any] = {}
    views: tuple[int, ...] = (1, 2, 4)


def _as_it_is(values: np.ndarray, triangles: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    return values, triangles


VARIANTS = {
    "tracking": Variant(),
    "… kept where it explains the frames": Variant(options={"keep": True}),
    "… on its own vertices": Variant(
        without=partial(patch.object, template, "split_evenly", _as_it_is), options={"nodes": 10**9}
    ),
    "… 500 nodes": Variant(options={"nodes": 500}),
    "… 1000 nodes": Variant(options={"nodes": 1000}),
    "… pieces bound as firmly as they are in themselves": Variant(options={"bonds": 1.0}),
    "… loose pieces": Variant(options={"bonds": 0.0}),
    "… without texture in the matches": Variant(
        without=partial(patch.object, matching, "seen_by_texture", lambda *given: Sight.firm(given[-1])),
    ),
    "… joints hold like all links": Variant(
        without=partial(patch.object, tracking, "fit_of", lambda template, joints: fit_of(template)), views=(2,)
    ),
    "… there only": Variant(without=partial(patch.object, tracking._Way, "go_back", lambda *_: None), views=(1, 2)),
    "… without starts from earlier frames": Variant(without=partial(patch.object, Returns, "add", lambda *_: None)),
    "… without extrapolation": Variant(TrackSettings(velocity=(0.0,))),
    "… always 0.8 of the last motion": Variant(TrackSettings(velocity=(0.8,)), views=(1, 2)),
    "… without a pull in depth": Variant(TrackSettings(depth=(0.0,)), views=(1,)),
    "… the strong pull alone": Variant(TrackSettings(depth=TrackSettings().depth[:1]), views=(1,)),
    "… the weak pull alone": Variant(TrackSettings(depth=TrackSettings().depth[1:]), views=(1,)),
    "… depth of the whole free": Variant(
        without=partial(patch.object, DepthPrior, "at_rest_depth", lambda prior, nodes: nodes), views=(1,)
    ),
    "… what stays and what moves hold it alike": Variant(
        without=partial(patch.object, depth, "_STILL", np.inf), views=(1,)
    ),
    "… without outline pairs": Variant(TrackSettings(outline=0.0)),
    "… one stiff round": Variant(TrackSettings(stiffness=(10.0,), finest=(0,))),
    "… one soft round": Variant(TrackSettings(stiffness=(1.0,), finest=(0,))),
    "… flow at half resolution": Variant(TrackSettings(finest=(1, 1, 1, 1, 1))),
    "… flow at full resolution in every round": Variant(TrackSettings(finest=(0, 0, 0, 0, 0))),
    "… frames of 128²": Variant(options={"size": 128}),
}


def tracking_levels(case: Case) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """The tracker and the tracker without each of its parts."""
    for label, variant in VARIANTS.items():
        if len(case.views) in variant.views:
            yield label, partial(case.varied, variant)


def field_levels(case: Case) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """The deformation field on top of the tracked start, as `animate3d animate` fits it and with parts left out."""
    variants = {
        "tracking + field": {"appearance": True, "overrides": []},
        "… without fitted appearance": {"appearance": False, "overrides": []},
        "… gradient to 10 % of the Gaussians": {"appearance": True, "overrides": ["system.grad_ratio=0.1"]},
        "… λ ARAP 4": {"appearance": True, "overrides": ["system.loss.lambda_arap=4.0"]},
        "… 200 steps": {"appearance": True, "overrides": ["trainer.max_steps=200"]},
    }
    for label, options in variants.items():
        yield label, lambda options=options: case.fitted(MESH_CONFIG, start=True, **options)


def documented_levels(case: Case) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """The method's own constants, and the same with what users loosen first."""
    for label, appearance, overrides in (
        ("documented, 800 steps", False, []),
        ("… λ ARAP 1, full gradients, larger head rate", False, LOOSER),
        ("… and fitted appearance", True, LOOSER),
    ):
        yield (
            label,
            lambda appearance=appearance, overrides=overrides: case.fitted(
                DOCUMENTED, start=False, appearance=appearance, overrides=overrides
            ),
        )


LEVELS = {"tracking": tracking_levels, "field": field_levels, "documented": documented_levels}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motions", nargs="*", default=None, help="of the demo creature; all")
    parser.add_argument("--folders", nargs="*", type=Path, default=[], help="models in known motion")
    parser.add_argument("--views", nargs="*", default=["4"], choices=list(VIEWS))
    parser.add_argument("--levels", nargs="*", default=["tracking", "field"], choices=list(LEVELS))
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rows", nargs="*", metavar="TEXT", help="only those whose names hold one of the texts; all")
    options = parser.parse_args()
    print("| motion | level | vertex error | error / displacement | held-out PSNR | time |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        motions = options.motions if options.motions is not None else [] if options.folders else list(MOTIONS)
        given = {path.name: path for path in options.folders}
        for motion, views in itertools.product([*motions, *given], options.views):
            case = Case(motion, Path(folder) / motion, options.frames, given.get(motion))
            case.views = VIEWS[views]
            print(f"views: {views}")
            rest = np.asarray(case.placement.apply(np.repeat(case.mesh.vertices[None], options.frames, axis=0)))
            case.report("static copy", rest, 0.0)
            if "field" in options.levels:
                case.start = case.tracked(TrackSettings())
            for level in options.levels:
                for label, run in LEVELS[level](case):
                    if options.rows and not any(text in label for text in options.rows):
                        continue
                    begin = time.perf_counter()
                    positions = run()
                    case.report(label, positions, time.perf_counter() - begin)


if __name__ == "__main__":
    main()
