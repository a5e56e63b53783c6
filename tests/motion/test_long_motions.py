"""Memory hardly grows with the length of a motion: nothing works on copies of all its frames."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from moving_shapes import patterned_capsule

from animate3d.cameras import reconstruction_cameras
from animate3d.export.clip import checked_clip
from animate3d.export.gltf import write_gltf
from animate3d.export.morphs import morph_targets
from animate3d.motion import Trajectory
from animate3d.motion.harmless import keep_what_explains
from animate3d.rasterize.textured import render_mesh

SHORT, LONG = 48, 72


def swelling(frames: int) -> np.ndarray:
    """``[F, N, 3]``"""
    mesh = patterned_capsule(2)
    return mesh.vertices * (0.5 + 0.05 * np.sin(np.arange(frames) / 5))[:, None, None]


def copies(prepared: Callable[[np.ndarray], Callable[[], object]]) -> float:
    """How many copies of the further frames of a longer motion, in double precision, are there at a time."""
    peaks = []
    for frames in (SHORT, LONG):
        run = prepared(swelling(frames))
        if not peaks:
            run()  # compiles and loads what stays
        tracemalloc.start()
        run()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return (peaks[1] - peaks[0]) / (swelling(LONG).nbytes - swelling(SHORT).nbytes)


def test_a_motion_is_judged_without_a_second_copy_of_it() -> None:
    mesh, cameras = patterned_capsule(2), reconstruction_cameras(1, 32)

    def prepared(positions: np.ndarray) -> Callable[[], object]:
        frames = render_mesh(mesh, positions, cameras, shading=False).astype(np.float32) / 255
        return lambda: keep_what_explains(mesh, positions, frames, cameras)

    assert copies(prepared) < 1.5


def test_a_motion_is_brought_to_its_coordinates_frame_by_frame() -> None:
    placement = patterned_capsule(2).automatic_placement()
    assert copies(lambda placed: lambda: Trajectory.from_placed(placed, placement)) < 1


def test_glb_holds_few_copies_of_a_motion(tmp_path: Path) -> None:
    mesh = patterned_capsule(2)

    def prepared(positions: np.ndarray) -> Callable[[], object]:
        clip = checked_clip(mesh, positions, 24)
        return lambda: write_gltf(clip, tmp_path / "animation.glb", 8)

    assert copies(prepared) < 4


def test_frames_made_in_blocks_are_those_of_all_targets_and_weights() -> None:
    morphs = morph_targets(checked_clip(patterned_capsule(2), swelling(60), 24), 5)
    shown = np.stack(list(morphs.frames()))
    whole = morphs.base + np.einsum("fm,mnc->fnc", morphs.weights.astype(np.float64), morphs.deltas)
    np.testing.assert_allclose(shown, whole, atol=1e-12)
    moves = np.random.default_rng(0).normal(size=(60, 1100, 3))
    fitted = np.linalg.lstsq(morphs.weights.astype(np.float64), moves.reshape(60, -1), rcond=None)[0]
    np.testing.assert_allclose(morphs.project(moves).reshape(5, -1), fitted, atol=1e-6 * np.abs(fitted).max())
