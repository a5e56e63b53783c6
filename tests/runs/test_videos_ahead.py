"""Videos of several objects in one call of the model: which go together, and what becomes of those that cannot."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from animate3d.errors import InputError
from animate3d.motion.pixel_origins import ORIGINS, PixelOrigins, load_origins
from animate3d.mvvdm import inference
from animate3d.mvvdm.inference import MadeVideos, VideoRequest
from animate3d.mvvdm.sampler import SamplerSettings
from animate3d.runs import videos
from animate3d.runs.videos import VideoOptions, Wanted, import_ahead, make_ahead, make_videos

SHORT = SamplerSettings(steps=2, size=256, frames=2, freeinit_num_iters=0)


class Model:
    """Makes videos of one colour, their seed; notes the seeds of every call. No more than ``most`` in a call."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[list[int]] = []
        self.most = 9
        patch.setattr(inference, "kept_pipeline", lambda config, checkpoint: self)
        patch.setattr(inference, "make_videos_together", self.make)

    def set_progress_bar_config(self, **settings: Any) -> None:
        pass

    def make(self, pipeline: Any, requests: Sequence[VideoRequest]) -> list[MadeVideos]:
        seeds = [request.sampler.seed for request in requests]
        self.calls.append(seeds)
        if len(requests) > self.most:
            raise torch.cuda.OutOfMemoryError
        if 99 in seeds:
            raise InputError("99 cannot be made.")
        return [MadeVideos(np.full((1, 2, 256, 256, 3), seed, np.uint8)) for seed in seeds]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(videos, "_ahead", {})
    return Model(monkeypatch)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.new("RGB", (16, 16)).save(tmp_path / "0.png")
    return tmp_path / "0.png"


def wanted(image: Path, seed: int, prompt: str = "it walks", **sampler: int) -> Wanted:
    settings = SamplerSettings(**{**vars(SHORT), **sampler, "seed": seed})
    return VideoOptions(prompt, weights=image.parent, sampler=settings), (image,)


def test_those_with_the_same_settings_go_together_and_are_taken_from_there(model: Model, image: Path) -> None:
    ones = [wanted(image, 1), wanted(image, 2, "it runs"), wanted(image, 3, steps=5), wanted(image, 4, frames=20)]
    make_ahead(ones)
    assert model.calls == [[1, 2]]
    folder = image.parent / "videos"
    facts = make_videos(*ones[1], folder)
    assert facts["objects_in_call"] == 2 and facts["seconds_in_call"] >= 0 and model.calls == [[1, 2]]
    with Image.open(folder / "0-it-runs" / "1.png") as frame:
        assert frame.convert("RGB").getpixel((8, 8)) == (2, 2, 2)
    assert make_videos(*ones[2], folder) == {} and model.calls[1:] == [[3]]
    make_videos(*ones[1], folder)
    assert model.calls[2:] == [[2]], "they are taken once"


def test_a_call_that_memory_is_too_small_for_is_halved(model: Model, image: Path) -> None:
    model.most = 2
    make_ahead([wanted(image, seed) for seed in range(5)])
    assert model.calls == [[0, 1, 2, 3, 4], [0, 1], [2, 3, 4], [3, 4]]  # the third is made when its run asks for it
    assert make_videos(*wanted(image, 4), image.parent / "videos")["objects_in_call"] == 2


def test_one_that_cannot_be_made_is_told_by_its_own_run(model: Model, image: Path) -> None:
    make_ahead([wanted(image, 1), wanted(image, 99)])
    assert make_videos(*wanted(image, 1), image.parent / "videos") == {}
    with pytest.raises(InputError, match="99 cannot"):
        make_videos(*wanted(image, 99), image.parent / "videos")


def test_videos_depend_on_the_precision_of_the_weights_and_not_on_the_compiler(image: Path) -> None:
    (plain, _) = wanted(image, 1)
    assert replace(plain, compile=True, low_memory=True).identity() == plain.identity()
    assert "quantize" not in plain.identity()  # runs of before go on
    assert replace(plain, quantize="int8").identity() != plain.identity()


def test_origins_lie_beside_the_videos_of_models_that_say_them(
    model: Model, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image.parent / "videos"
    make_videos(*wanted(image, 1), folder)
    assert not (folder / ORIGINS).exists()
    own = PixelOrigins(np.full((1, 1, 2, 8, 8), 2.5), np.ones((1, 1, 8, 8)))
    frames = np.zeros((1, 2, 256, 256, 3), np.uint8)
    monkeypatch.setattr(inference, "make_videos_together", lambda *_: [MadeVideos(frames, own)])
    make_videos(*wanted(image, 1), folder)
    np.testing.assert_array_equal(load_origins(folder / ORIGINS).places, own.places)


@pytest.mark.parametrize(
    ("prompt", "moves", "bundled", "expected"),
    [
        ("a butterfly is flapping its wings", "auto", True, True),
        ("a butterfly is flapping its wings", "always", True, False),
        ("the robot waves and then dances", "auto", True, False),
        ("the robot waves and then dances", "never", True, True),
        ("the robot waves and then dances", "auto", False, True),
        ("a dog is walking", "auto", True, False),
        ("a fish is swimming, then a fish is swimming", "auto", True, False),
    ],
)
def test_the_video_model_is_imported_ahead_only_where_videos_are_to_be_expected(
    monkeypatch: pytest.MonkeyPatch, prompt: str, moves: str, bundled: bool, expected: bool
) -> None:
    begun: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: begun.append(thread))
    import_ahead(VideoOptions(prompt, sampler=SHORT, weights=Path("model"), bundled=bundled), moves)
    assert bool(begun) == expected
