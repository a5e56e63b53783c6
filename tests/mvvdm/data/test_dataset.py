"""Samples, their order, the parts of ranks and workers, and continuing."""

from __future__ import annotations

import json
import logging
from collections import Counter

import numpy as np
import pytest
import torch
from mv_video_files import CLIPS, VIEWS, angles, damage, decoded, pack

from animate3d.errors import InputError
from animate3d.mvvdm.data import ClipLoader, build_dataset
from animate3d.mvvdm.data.dataset import window_shuffle
from animate3d.mvvdm.model.camera import get_camera

SMALL = {"sample_size": 16, "sample_n_frames": 4}
KEYS = ["/".join(clip) for clip in CLIPS]


def batches(source, *, epoch=0, workers=0, **settings):
    loader = ClipLoader(build_dataset(source, **{**SMALL, **settings}), num_workers=workers)
    loader.set_epoch(epoch)
    return list(loader)


def keys_of(found) -> list[str]:
    return [key for batch in found for key in batch["key"]]


def assert_equal(one, other) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys() and a["key"] == b["key"] and a["text"] == b["text"]
        assert all(torch.equal(a[name], b[name]) for name in ("pixel_values", "camera", "views", "frames"))


def test_a_sample_shows_the_frames_and_views_it_says_with_their_cameras(made):
    found = batches(made, sample_n_frames=16)
    assert sorted(keys_of(found)) == KEYS
    for batch in found:
        assert batch["pixel_values"].shape == (1, 4, 16, 3, 16, 16) and batch["pixel_values"].dtype == torch.float32
        frames, views, clips = decoded(batch["pixel_values"][0])
        number = KEYS.index(batch["key"][0])
        assert (clips == number).all()
        assert (views == batch["views"][0].numpy()[:, None]).all()
        assert (frames == batch["frames"][0].numpy()).all()
        assert np.diff(frames).min() == np.diff(frames).max() == 3
        assert ((views[:, 0] - views[0, 0]) % 16).tolist() == [0, 4, 8, 12]
        elevation, azimuth = angles(number)
        expected = get_camera(4, elevation=elevation, azimuth_start=azimuth + 22.5 * views[0, 0])
        assert torch.allclose(batch["camera"][0], expected, atol=1e-6)
        assert batch["text"] == [f"{CLIPS[number][0]} moves"]


def test_values_span_minus_one_to_one(made):
    dataset = build_dataset(made, **SMALL)
    sample = next(iter(dataset))
    assert sample["pixel_values"].dtype == torch.float32 and sample["pixel_values"].min() >= -1
    assert torch.equal(sample["pixel_values"], next(iter(ClipLoader(dataset)))["pixel_values"][0])


def test_epochs_differ_and_a_seed_repeats_them(made):
    first, again = batches(made, epoch=3, seed=5), batches(made, epoch=3, seed=5)
    assert_equal(first, again)
    orders = {tuple(keys_of(batches(made, epoch=epoch))) for epoch in range(4)}
    assert len(orders) > 1
    assert len({tuple(keys_of(batches(made, seed=seed))) for seed in range(4)}) > 1


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("world_size, workers", [(1, 2), (2, 0), (3, 0), (2, 2)])
def test_ranks_and_workers_share_the_clips_without_overlap(made, archives, streamed, world_size, workers):
    source = archives if streamed else made
    parts = [keys_of(batches(source, rank=r, world_size=world_size, workers=workers)) for r in range(world_size)]
    assert len({len(part) for part in parts}) == 1
    assert sorted(key for part in parts for key in part) == KEYS


def test_archives_give_the_same_clips_as_folders(made, archives):
    for epoch in range(2):
        from_files = {batch["key"][0]: batch for batch in batches(made, epoch=epoch)}
        from_archives = {batch["key"][0]: batch for batch in batches(archives, epoch=epoch, workers=2)}
        assert sorted(from_files) == sorted(from_archives) == KEYS
        for key in KEYS:
            assert_equal([from_files[key]], [from_archives[key]])


def test_the_order_in_files_does_not_depend_on_the_workers_and_little_on_the_ranks(made):
    assert_equal(batches(made, workers=0, batch_size=2), batches(made, workers=2, batch_size=2))
    ranks = [batches(made, rank=rank, world_size=2) for rank in range(2)]
    both = batches(made, batch_size=2)
    for step, batch in enumerate(both):
        expected = torch.cat([ranks[0][step]["pixel_values"], ranks[1][step]["pixel_values"]])
        assert torch.equal(batch["pixel_values"], expected)


@pytest.mark.parametrize(
    "workers, stops, streamed",
    [
        (0, (1, 2, 3, 4), False),
        pytest.param(0, (1, 2, 3, 4), True, marks=pytest.mark.slow),
        pytest.param(2, (2, 3), False, marks=pytest.mark.slow),
        pytest.param(2, (2,), True, marks=pytest.mark.slow),
        (2, (3,), True),
    ],
)
def test_continuing_gives_the_identical_rest(made, archives, streamed, workers, stops):
    source = archives if streamed else made
    settings = {**SMALL, "shuffle_window": 2}
    loader = ClipLoader(build_dataset(source, **settings), num_workers=workers)
    whole = [batch for _ in range(2) for batch in loader]  # two epochs: the second starts by itself
    assert keys_of(whole[:6]) != keys_of(whole[6:])

    for used in stops:
        stopped = ClipLoader(build_dataset(source, **settings), num_workers=workers)
        running = iter(stopped)
        before = [next(running) for _ in range(used)]
        state = json.loads(json.dumps(stopped.state_dict()))
        del running
        resumed = ClipLoader(build_dataset(source, **settings), num_workers=workers)
        resumed.load_state_dict(state)
        assert_equal(before + [batch for _ in range(2) for batch in resumed], whole)


def test_after_the_last_batch_the_position_is_the_next_epoch(made):
    loader = ClipLoader(build_dataset(made, **SMALL, batch_size=3))
    states = [loader.state_dict() for _ in loader]
    assert [(state["epoch"], state["batch"]) for state in states] == [(0, 1), (1, 0)]
    loader.set_epoch(1)
    assert len(list(loader)) == len(loader) == 2


def test_another_number_of_ranks_starts_the_epoch_anew_with_a_warning(made, caplog):
    loader = ClipLoader(build_dataset(made, **SMALL))
    next(iter(loader))
    other = ClipLoader(build_dataset(made, **SMALL, world_size=2))
    with caplog.at_level(logging.WARNING):
        other.load_state_dict(loader.state_dict())
    assert other.state_dict()["batch"] == 0 and "world_size 1 -> 2" in caplog.text


@pytest.mark.parametrize("workers", [0, 2])
def test_a_truncated_video_loses_only_its_clip_and_is_reported(folder, workers, caplog):
    for view in range(VIEWS):
        damage(folder / f"videos/bee/00/view_{view}.mp4", 0.6)
    loader = ClipLoader(build_dataset(folder, **SMALL), num_workers=workers)
    with caplog.at_level(logging.WARNING):
        found = keys_of(loader)
    assert len(found) == 6 and set(found) == set(KEYS) - {"bee/00"}
    assert list(loader.skipped) == ["bee/00"] and "view_" in loader.skipped["bee/00"]
    assert "skipped clip bee/00" in caplog.text
    assert loader.state_dict()["skipped"] == loader.skipped


def test_a_truncated_video_in_an_archive_loses_only_its_clip(folder, tmp_path):
    for view in range(VIEWS):
        damage(folder / f"videos/ant/01/view_{view}.mp4", 0.5)
    pack(folder, tmp_path / "a" / "x.tar.gz", KEYS)
    loader = ClipLoader(build_dataset(tmp_path / "a", **SMALL, shuffle_window=1))
    for epoch in range(3):  # also when the stand-in has had its turn already
        loader.set_epoch(epoch)
        assert set(keys_of(loader)) == set(KEYS) - {"ant/01"}
    assert list(loader.skipped) == ["ant/01"]


def test_a_data_set_without_any_readable_clip_is_an_error(folder):
    for path in folder.rglob("*.mp4"):
        damage(path, 0.3)
    with pytest.raises(InputError, match="None of 6 clips can be read"):
        list(ClipLoader(build_dataset(folder, **SMALL)))


def test_fewer_clips_than_a_batch_are_used_more_than_once(made, archives):
    for source in (made, archives):
        (batch,) = batches(source, batch_size=8)
        assert set(batch["key"]) == set(KEYS)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"num_views": 5}, "No clip has 5 evenly spaced views"),
        ({"sample_size": 0}, "`sample_size` is 0"),
        ({"rank": 2, "world_size": 2}, "`rank` is 2"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(made, settings, message):
    with pytest.raises(InputError, match=message):
        build_dataset(made, **settings)


def test_the_window_shuffle_is_a_permutation_of_bounded_reach():
    order = window_shuffle(200, 16, np.random.default_rng(0))
    assert Counter(order) == Counter(range(200)) and order != sorted(order)
    assert all(item <= place + 16 for place, item in enumerate(order))
