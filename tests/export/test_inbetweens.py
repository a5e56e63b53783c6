"""Resampled clips: what turns keeps its size, the frames stay, loops keep their period."""

from __future__ import annotations

import numpy as np
import pytest
from clips import awkward_mesh, motion

from animate3d.errors import InputError
from animate3d.export import export_with_report
from animate3d.export.clip import checked_clip
from animate3d.export.inbetweens import resampled
from animate3d.meshes import Mesh


def wing() -> Mesh:
    """A strip of squares along x."""
    x, z = (v.reshape(-1) for v in np.meshgrid(np.linspace(0, 2, 9), [0.0, 0.3], indexing="ij"))
    k = np.arange(0, 16, 2)
    return Mesh.from_faces(np.stack([x, 0 * x, z], axis=1), np.stack([k, k + 1, k + 3, k + 2], axis=1))


def flapped(mesh: Mesh, angles: np.ndarray) -> np.ndarray:
    """Bent about z, more with the distance from the root. ``[F, N, 3]``"""
    x, _, z = mesh.vertices.T
    bend = np.maximum(np.abs(angles)[:, None], 1e-9) / 2
    arc = bend * x
    return np.stack(
        [np.sin(arc) / bend, np.sign(angles)[:, None] * (1 - np.cos(arc)) / bend, np.broadcast_to(z, arc.shape)],
        axis=-1,
    )


def lengths(mesh: Mesh, frames: np.ndarray) -> np.ndarray:
    i, j = mesh.edges().T
    return np.linalg.norm(frames[:, i] - frames[:, j], axis=-1)


def test_edges_keep_their_length_between_frames_that_turn_far():
    mesh = wing()
    frames = flapped(mesh, np.array([0, 2.0, 0, -2.0]))
    linear = (frames + np.roll(frames, -1, axis=0)) / 2
    rest = lengths(mesh, frames)
    assert np.percentile(lengths(mesh, linear) / rest, 1) < 0.9
    clip = resampled(checked_clip(mesh, frames, 4, loop=True), 8)
    between = lengths(mesh, clip.positions[1::2]) / rest
    assert np.percentile(between, 1) > 0.97 and np.percentile(between, 99) < 1.05


def test_in_betweens_are_nearer_to_the_motion_than_straight_lines():
    mesh = wing()
    fine = flapped(mesh, 1.5 * np.sin(2 * np.pi * np.arange(16) / 16))
    found = resampled(checked_clip(mesh, fine[::2], 8, loop=True), 16).positions
    linear = (fine[::2] + np.roll(fine[::2], -1, axis=0)) / 2
    assert np.abs(found[1::2] - fine[1::2]).max() < 0.5 * np.abs(linear - fine[1::2]).max()


@pytest.mark.parametrize("loop", [False, True])
def test_the_frames_stay_and_a_loop_keeps_its_period(loop):
    mesh = awkward_mesh()
    clip = checked_clip(mesh, motion(mesh), 8, loop=loop)
    found = resampled(clip, 24)
    assert (found.n_frames, found.fps) == (15 if loop else 13, pytest.approx(24))
    np.testing.assert_allclose(found.positions[::3][:5], clip.positions, atol=1e-12)
    uneven = resampled(clip, 20)  # 12.5 or 10 intervals
    assert len(uneven.key_times) / uneven.fps - 1 / uneven.fps == pytest.approx(clip.key_times[-1])


def test_a_rigid_motion_stays_rigid_for_parts_without_a_link_too():
    mesh = awkward_mesh()
    turn = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    clip = resampled(checked_clip(mesh, np.stack([mesh.vertices, mesh.vertices @ turn]), 1), 2)
    np.testing.assert_allclose(lengths(mesh, clip.positions), lengths(mesh, mesh.vertices[None])[[0, 0, 0]], rtol=1e-5)


def test_seams_stay_closed():
    mesh = wing()
    copied = np.concatenate([mesh.vertices, mesh.vertices[8:10]])
    faces = mesh.corners.reshape(-1, 4).copy()
    faces[4:][faces[4:] == 8], faces[4:][faces[4:] == 9] = 18, 19
    mesh = Mesh.from_faces(copied, faces)
    found = resampled(checked_clip(mesh, flapped(mesh, np.array([0, 2.0, -1.0])), 4), 16).positions
    np.testing.assert_allclose(found[:, 8:10], found[:, 18:20], atol=1e-9)


def test_exports_are_resampled_and_bad_rates_refused(tmp_path):
    mesh = wing()
    frames = flapped(mesh, np.array([0, 1.0, 0.5]))
    report = export_with_report(mesh, frames, tmp_path / "a.glb", fps=8, resample=24)
    assert (report.frames, report.fps) == (7, pytest.approx(24))
    for rate in (0, -1, float("nan")):
        with pytest.raises(InputError, match="cannot be resampled"):
            export_with_report(mesh, frames, tmp_path / "b.glb", fps=8, resample=rate)
