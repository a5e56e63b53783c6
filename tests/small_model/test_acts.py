"""Meshes with true motions, as the evaluation of the whole command uses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_asset import write_asset

from animate3d.creatures.moves import MOVES, Manner
from animate3d.errors import InputError
from animate3d.evaluation.clip_metrics import VideoArray
from animate3d.meshes import Mesh, load_mesh
from animate3d.small_model.acts import (
    FACINGS,
    facing_acts,
    family_acts,
    figure_acts,
    foreign_acts,
    moved_mesh,
    subject_of_mesh,
    turns,
)
from animate3d.small_model.adverbs import nearest
from animate3d.small_model.animations import true_clips


@pytest.fixture()
def tube(tmp_path: Path) -> Mesh:
    write_asset(tmp_path)
    return load_mesh(tmp_path / "tube")


@pytest.mark.slow
def test_acts_begin_with_the_mesh_at_rest_and_the_prompted_motion() -> None:
    for uid, make in turns([figure_acts(1), family_acts(1)]):
        act = make()
        assert act.uid == uid and len(act.positions) == len(act.moves) > 1
        assert np.allclose(act.positions[:, 0], act.mesh.vertices, atol=1e-5)
        assert np.abs(act.positions[0] - act.positions[1]).max() > 0.02


def test_a_figure_is_seen_in_eight_facings() -> None:
    names = [uid for uid, _ in facing_acts(1)]
    assert len(names) == len(FACINGS) == len(set(names))


def test_the_true_clip_of_an_act_moves_as_it_says() -> None:
    ((_, make),) = family_acts(1)
    moving, *others = true_clips(make())
    assert moving.shape == (4, 16, 64, 64, 3) and np.abs(moving[:, 1:] - moving[:, :1]).mean() > 1e-3
    assert all(np.array_equal(moving[:, 0], other[:, 0]) for other in others)


@pytest.mark.parametrize("up_axis", ["y", "z"])
def test_a_foreign_mesh_rises_along_its_own_up_axis(tube: Mesh, up_axis: str) -> None:
    tube.up_axis = up_axis
    moved = moved_mesh(tube, subject_of_mesh(tube), MOVES["rise"], Manner())
    step = (moved[-1] - moved[0]).mean(axis=0)
    assert step["xyz".index(up_axis)] > 0.99 * np.linalg.norm(step) > 0


def test_right_is_where_the_first_camera_sees_it(tube: Mesh) -> None:
    moved = moved_mesh(tube, subject_of_mesh(tube), MOVES["slide"], Manner(direction="right"))
    place = tube.automatic_placement().apply
    assert (place(moved[-1]) - place(moved[0])).mean(axis=0)[1] > 0.1  # it looks along -x, so +y is right


def test_a_folder_without_meshes_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no meshes"):
        next(foreign_acts(tmp_path, 1))


def test_what_is_measured_lies_between_the_values_that_are_drawn() -> None:
    def clip(value: float) -> VideoArray:
        return np.full((1, 2, 2, 2, 3), value, np.float32)

    drawn = {value: clip(value) for value in (0.5, 1.0, 2.0)}
    assert nearest(clip(1.1), drawn) == pytest.approx(1.1, abs=1e-3) and nearest(clip(3.0), drawn) == 2.0
