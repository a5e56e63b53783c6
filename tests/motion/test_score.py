import pytest
import torch

from animate3d.motion.score import believable, explained, explained_change, explained_motion


def moving_square(shifts, color=(0.9, 0.1, 0.1), size=32):
    frames = torch.zeros(1, len(shifts), size, size, 4)
    for f, shift in enumerate(shifts):
        frames[0, f, 8:16, 8 + shift : 16 + shift, :3] = torch.tensor(color)
        frames[0, f, 8:16, 8 + shift : 16 + shift, 3] = 1.0
    return frames


def test_the_same_motion_explains_everything():
    videos = moving_square([0, 3, 6])
    assert explained_motion(videos, videos) == pytest.approx(1.0)


def test_a_still_model_explains_nothing():
    assert explained_motion(moving_square([0, 3, 6]), moving_square([0, 0, 0])) == pytest.approx(0.0, abs=1e-6)


def test_half_of_the_motion_lies_between_and_the_opposite_below():
    videos = moving_square([0, 4, 8])
    half, against = (explained_motion(videos, moving_square(s)) for s in ([0, 2, 6], [0, -4, -8]))
    assert 0.1 < half < 1.0
    assert against < 0.0


def test_speckle_costs_little():
    videos = moving_square([0, 4, 8])
    noise = 0.15 * torch.randn(videos[..., :3].shape, generator=torch.Generator().manual_seed(0))
    speckled = torch.cat([(videos[..., :3] + noise).clamp(0, 1), videos[..., 3:]], dim=-1)
    assert explained_motion(speckled, videos) > 0.8


def test_videos_in_which_nothing_happens_score_zero():
    videos = moving_square([0, 0])
    assert explained_motion(videos, videos) == 0.0


def test_the_share_is_told_by_frame_and_view():
    videos = torch.cat([moving_square([0, 3, 6]), moving_square([0, 0, 0])])
    drawn = torch.cat([moving_square([0, 3, 0]), moving_square([0, 0, 0])])
    found = explained(videos, drawn)
    assert found.frames[0] == pytest.approx(1.0)
    assert found.frames[1] == pytest.approx(0.0, abs=1e-6)
    assert found.views[1] == 0.0
    assert 0 < found.views[0] < 1


def changes(views):
    """Blurred changes of one colour per view and frame ``[V, F - 1, 2, 2, 3]``."""
    return torch.tensor(views)[..., None, None, None].expand(-1, -1, 2, 2, 3)


def test_a_motion_that_loses_in_one_frame_what_it_gains_in_another_is_not_believed():
    videos = changes([[1.0, 1.0, 1.0]])
    chance = changes([[1.0, -0.4, 0.0]])
    assert 0 < explained_change(videos, chance).total < 0.02
    assert not believable(videos, chance)
    assert believable(videos, changes([[0.01, 0.01, 0.01]]))
    assert believable(videos, changes([[1.0, 0.0, 0.0]]))  # a single frame that is explained is enough


def test_standing_still_is_believed_whether_anything_happens_or_not():
    for videos in (changes([[1.0, 1.0]]), changes([[0.0, 0.0]]), changes([[1.0]])):
        assert believable(videos, 0 * videos)


@pytest.mark.parametrize(("others", "trusted"), [(1, False), (3, True)])
def test_a_motion_that_half_of_the_views_speak_against_is_not_believed(others, trusted):
    videos = changes([[1.0, 1.0]] * others + [[0.4, 0.4]])
    shown = changes([[1.0, 1.0]] * others + [[-0.48, -0.48]])
    assert explained_change(videos, shown).total > 0.3
    assert believable(videos, shown) is trusted
