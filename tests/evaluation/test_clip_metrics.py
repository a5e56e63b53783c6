import numpy as np
import pytest

from animate3d.evaluation.clip_metrics import mean_silhouette_iou, score_clip, score_trajectory


def clip(shifts):
    video = np.full((1, len(shifts), 16, 16, 3), 0.5, dtype=np.float32)
    for f, shift in enumerate(shifts):
        video[0, f, 4:8, 4 + shift : 8 + shift] = [0.9, 0.2, 0.1]
    return video


RIGHT, LEFT = clip([0, 2, 4]), clip([0, -2, -4])


def test_the_true_clip_is_perfect():
    score = score_clip(RIGHT, [LEFT, RIGHT], prompted=1)
    assert (score.nearest, score.nearest_or_static) == (1, 1)
    assert score.iou == 1.0
    assert score.energy == pytest.approx(1.0)
    assert score.psnr > 100


def test_a_clip_of_the_other_motion_is_recognised():
    assert score_clip(LEFT, [LEFT, RIGHT], prompted=1).nearest == 0


def test_a_static_clip_is_nearest_to_the_static_copy():
    score = score_clip(clip([0, 0, 0]), [LEFT, RIGHT], prompted=1)
    assert score.nearest_or_static == -1
    assert score.energy == 0.0
    assert score.iou == score.static_iou < 0.5


def test_half_the_contrast_has_a_quarter_of_the_energy():
    half = RIGHT[:, :1] + 0.5 * (RIGHT - RIGHT[:, :1])
    assert score_clip(half, [LEFT, RIGHT], prompted=1).energy == pytest.approx(0.25)


def test_iou_of_nothing_with_nothing_is_one():
    empty = np.full((1, 2, 4, 4, 3), 0.5, dtype=np.float32)
    assert mean_silhouette_iou(empty, empty) == 1.0


def test_trajectories_are_scored_by_direction_and_length():
    rest = np.random.default_rng(0).normal(size=(6, 3))
    truth = np.stack([rest, rest + [1.0, 0, 0], rest + [2.0, 0, 0]])
    perfect = score_trajectory(truth, truth)
    assert (perfect.cosine, perfect.amplitude, perfect.error) == pytest.approx((1.0, 1.0, 0.0))
    half = score_trajectory(truth[:1] + 0.5 * (truth - truth[:1]), truth)
    assert (half.cosine, half.amplitude) == pytest.approx((1.0, 0.5))
    against = score_trajectory(truth[:1] - (truth - truth[:1]), truth)
    assert against.cosine == pytest.approx(-1.0)


def test_a_motion_that_should_stand_still_has_no_direction():
    rest = np.repeat(np.random.default_rng(0).normal(size=(1, 6, 3)), 3, axis=0)
    assert np.isnan(score_trajectory(rest, rest).cosine)
