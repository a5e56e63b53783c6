"""Placement: exact for the documented flags, invertible, and inside every camera."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from animate3d.cameras import reconstruction_cameras, testset_cameras
from animate3d.errors import InputError
from animate3d.meshes import Placement


def test_flags_turn_about_x_then_z_and_scale():
    placement = Placement.from_flags(90, 90, 0.76)
    # y up becomes z up; the front, +z, comes to face azimuth 0, +x
    np.testing.assert_array_equal(placement.apply(np.eye(3)), 0.76 * np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]))
    np.testing.assert_array_equal(placement.translation, 0)


@settings(max_examples=40, deadline=None)
@given(
    angles=st.tuples(st.floats(-360, 360), st.floats(-360, 360)),
    scale=st.floats(1e-3, 1e3),
    shift=st.lists(st.floats(-10, 10), min_size=3, max_size=3),
)
def test_apply_and_invert_undo_each_other_and_agree_with_the_matrix(angles, scale, shift):
    placement = Placement(Placement.from_flags(*angles, 1.0).rotation, scale, np.array(shift))
    points = np.random.default_rng(0).normal(size=(2, 5, 3))
    placed = placement.apply(points)
    np.testing.assert_allclose(placement.invert(placed), points, atol=1e-9 * (1 + 20 / scale))
    homogeneous = np.concatenate([points, np.ones((2, 5, 1))], axis=-1) @ placement.matrix().T
    np.testing.assert_allclose(placed, homogeneous[..., :3], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(placement.apply(torch.from_numpy(points)).numpy(), placed, rtol=1e-9, atol=1e-9)


def test_dtype_is_kept():
    placement = Placement.from_flags(30, 40, 2)
    assert placement.apply(np.zeros((1, 3), dtype=np.float32)).dtype == np.float32
    assert placement.invert(torch.zeros(1, 3)).dtype == torch.float32
    assert placement.apply(np.zeros((1, 3), dtype=np.int64)).dtype == np.float64


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), up=st.sampled_from("yz"))
def test_automatic_placement_is_centred_and_seen_whole_with_a_margin(seed, up):
    rng = np.random.default_rng(seed)
    vertices = rng.normal(size=(50, 3)) * rng.uniform(0.01, 100, 3) + rng.uniform(-1e3, 1e3, 3)
    placed = Placement.automatic(vertices, up).apply(vertices)
    np.testing.assert_allclose(placed.min(axis=0), -placed.max(axis=0), atol=1e-6)
    largest = 0.0
    for cameras in (reconstruction_cameras(size=200), testset_cameras(size=200)):
        pixels, depth = cameras.to(torch.float64).project(torch.from_numpy(placed))
        assert (depth > 1).all()
        largest = max(largest, float((pixels - 100).abs().max()))
    assert largest == pytest.approx(70, abs=0.01)


def test_one_object_gets_the_same_place_from_y_up_and_z_up_files():
    vertices = np.random.default_rng(0).normal(size=(20, 3))
    as_z_up = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], axis=1)
    ours = Placement.automatic(vertices, "y").apply(vertices)
    np.testing.assert_allclose(Placement.automatic(as_z_up, "z").apply(as_z_up), ours, atol=1e-12)


def test_a_slender_object_of_half_extent_one_gets_the_documented_scale():
    assert Placement.automatic(np.array([[-1.0, 0, 0], [1, 0, 0], [0, 0.1, 0]]), "y").scale == pytest.approx(
        0.76, abs=0.01
    )


def test_saved_placements_are_read_again(tmp_path):
    placement = Placement.automatic(np.random.default_rng(0).normal(size=(9, 3)), "y")
    placement.save(tmp_path / "a.placement.json")
    again = Placement.load(tmp_path / "a.placement.json")
    np.testing.assert_array_equal(again.matrix(), placement.matrix())


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"rotation": [[2,0,0],[0,1,0],[0,0,1]], "scale": 1, "translation": [0,0,0]}',
        '{"rotation": [[1,0,0],[0,1,0],[0,0,1]], "scale": 0, "translation": [0,0,0]}',
        '{"rotation": [[1,0,0],[0,1,0],[0,0,1]], "scale": NaN, "translation": [0,0,0]}',
        '{"rotation": [[1,0],[0,1,0],[0,0,1]], "scale": 1, "translation": [0,0,0]}',
        '{"rotation": [["a",0,0],[0,1,0],[0,0,1]], "scale": 1, "translation": [0,0,0]}',
    ],
)
def test_other_json_files_are_refused(tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(InputError, match=r"p\.json"):
        Placement.load(tmp_path / "p.json")


def test_impossible_placements_are_refused():
    for scale in (-1, 0, 1e-30, 1e30, float("nan")):
        with pytest.raises(InputError, match="must lie between 1e-09 and 1e"):
            Placement.from_flags(0, 0, scale)
    with pytest.raises(InputError, match="no extent"):
        Placement.automatic(np.ones((4, 3)), "z")
    with pytest.raises(InputError, match="y or z"):
        Placement.automatic(np.eye(3), "x")
    with pytest.raises(InputError, match="finite"):
        Placement.from_flags(float("nan"), 0, 1)
