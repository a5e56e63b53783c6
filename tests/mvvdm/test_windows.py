"""Videos longer than the model's own: how windows cover them, and what stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from animate3d.errors import InputError
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.tiny import tiny_pipeline
from animate3d.mvvdm.windows import Continuation, WeightingScheme, continuation_of, plan_windows

LENGTH = 5


@pytest.fixture(scope="module")
def tiny() -> MultiViewVideoPipeline:
    pipe = tiny_pipeline(unet={"frame_embedding": True})
    pipe.set_progress_bar_config(disable=True)
    return pipe


def run(pipe: MultiViewVideoPipeline, seed: int = 0, **options: object) -> Tensor:
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)) for _ in range(2)]
    settings = {"height": 64, "width": 64, "num_inference_steps": 2, "guidance_scale": 1.0, "output_type": "pt"}
    settings |= options
    return pipe("a dragon", images, generator=torch.Generator().manual_seed(seed), **settings).frames  # type: ignore[union-attr]


@pytest.mark.parametrize("frames", [LENGTH + 1, 12, 16, 33])
@pytest.mark.parametrize("stride", [1, 2, LENGTH - 1])
@pytest.mark.parametrize("scheme", ["flat", "pyramid"])
@pytest.mark.parametrize("continuation", ["free", "cycle", "return"])
def test_every_frame_is_covered_and_its_weights_sum_to_one(
    frames: int, stride: int, scheme: WeightingScheme, continuation: Continuation
) -> None:
    windows = plan_windows(frames, LENGTH, stride, scheme, continuation)
    sums = torch.zeros(frames).index_add_(0, windows.frames.flatten(), windows.weights.flatten())
    expected = torch.ones(frames)
    expected[0] = 0
    expected[windows.copies] = 0
    torch.testing.assert_close(sums, expected)
    assert (windows.weights > 0).all()
    mixed = windows.blend(lambda chosen: [chosen.float().expand(1, 1, -1)[..., None, None]])[0].flatten()
    torch.testing.assert_close(mixed, torch.arange(1, frames) * expected[1:], msg="a prediction that agrees is kept")


def test_a_frame_keeps_its_place_in_a_cycle_and_on_the_way_back() -> None:
    for continuation, lap in (("cycle", [0, 1, 2, 3, 4]), ("return", [0, 1, 2, 3, 4, 3, 2, 1])):
        windows = plan_windows(17, LENGTH, 2, continuation=continuation)  # type: ignore[arg-type]
        assert windows.places.tolist() == [lap[frame % len(lap)] for frame in range(17)]
        for chosen in windows.frames:
            assert windows.places[chosen].tolist() == [1, 2, 3, 4], "in the order of the model"
        assert windows.copies.tolist() == [frame for frame in range(1, 17) if frame % len(lap) == 0]


def test_a_free_window_is_a_stretch_of_the_video() -> None:
    windows = plan_windows(11, LENGTH, 2)
    assert windows.frames.tolist() == [[1, 2, 3, 4], [3, 4, 5, 6], [5, 6, 7, 8], [7, 8, 9, 10]]
    assert len(windows.copies) == 0


def test_noise_is_shared_and_every_object_has_its_own() -> None:
    windows = plan_windows(15, LENGTH, 2)
    noise = torch.randn(4, 3, LENGTH - 1, 2, 2)

    def shared(*seeds: int) -> Tensor:
        return windows.share(noise, [torch.Generator().manual_seed(seed) for seed in seeds])

    both = shared(0, 1)
    assert both.shape == (4, 3, 14, 2, 2)
    torch.testing.assert_close(both[:, :, : LENGTH - 1], noise)
    assert all(any(torch.equal(both[:, :, f][:2], noise[:2, :, g]) for g in range(4)) for f in range(14))
    torch.testing.assert_close(both[:2], windows.share(noise[:2], [torch.Generator().manual_seed(0)]))
    assert not torch.equal(shared(0, 2)[2:], both[2:]) and torch.equal(shared(0, 1), both)


def test_the_motion_tells_whether_it_is_a_cycle() -> None:
    turn = torch.linspace(0, 2 * np.pi, 9)[:-1]
    closed = torch.stack([turn.cos(), turn.sin()])[None, :, :, None, None]
    opened = torch.linspace(0, 1, 8)[None, None, :, None, None]
    assert continuation_of(closed, numbered=True) == "cycle"
    assert continuation_of(opened, numbered=True) == "return"
    assert continuation_of(opened, numbered=False) == "free"


@pytest.fixture(scope="module")
def short(tiny: MultiViewVideoPipeline) -> Tensor:
    return run(tiny, num_frames=LENGTH)


def test_up_to_the_models_own_length_nothing_changes(tiny: MultiViewVideoPipeline, short: Tensor) -> None:
    for plain in (run(tiny, num_frames=3), short):
        assert torch.equal(plain, run(tiny, num_frames=plain.shape[2], context_length=LENGTH))


@pytest.mark.parametrize(
    "continuation", [None, "free", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cycle", "return"))]
)
def test_a_long_video_starts_exactly_and_repeats_with_its_seed(
    tiny: MultiViewVideoPipeline, short: Tensor, continuation: Continuation | None
) -> None:
    options = {"num_frames": 9, "context_length": LENGTH, "continuation": continuation}
    # Which continuation suits is told by the motion after a step; a second one is taken where that is to be found out.
    options["num_inference_steps"] = 2 if continuation is None else 1
    long = run(tiny, **options)
    assert long.shape == (1, 2, 9, 3, 64, 64)
    torch.testing.assert_close(long[:, :, 0], short[:, :, 0])
    assert torch.equal(long, run(tiny, **options))
    assert not torch.equal(long, run(tiny, seed=1, **options))


def test_one_window_after_the_other_needs_the_memory_of_one(
    tiny: MultiViewVideoPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    forward = tiny.unet.forward
    monkeypatch.setattr(tiny.unet, "forward", lambda x, *a, **k: seen.add(x.shape[2]) or forward(x, *a, **k))
    run(tiny, num_frames=40, context_length=LENGTH, context_stride=LENGTH - 1, num_inference_steps=1)
    assert seen == {LENGTH}, "more frames than the table of positions has are no matter"


@pytest.mark.slow
def test_free_init_goes_on_in_windows(tiny: MultiViewVideoPipeline) -> None:
    options = {"num_frames": 9, "context_length": LENGTH, "continuation": "cycle"}
    plain = run(tiny, **options)
    tiny.enable_free_init(num_iters=2)
    try:
        first, second = (run(tiny, **options) for _ in range(2))
    finally:
        tiny.disable_free_init()
    assert torch.equal(first, second) and not torch.equal(first, plain)
    assert torch.equal(first[:, :, 0], plain[:, :, 0]) and torch.equal(first[:, :, 5], first[:, :, 0])


def test_origins_are_found_window_by_window() -> None:
    pipe = tiny_pipeline(unet={"frame_embedding": True, "origin_factor": 8, "num_views": 2})
    pipe.set_progress_bar_config(disable=True)
    long = run(pipe, num_frames=9, context_length=LENGTH)
    assert long.shape == (1, 2, 9, 3, 64, 64) and torch.isfinite(long).all()
    rng = np.random.default_rng(0)
    given = torch.from_numpy(rng.integers(0, 255, (32, 32, 3), np.uint8)).float() / 255
    corner = long[0, 0, 0, :, 0, 0]
    torch.testing.assert_close(corner, given[0, 0], atol=1e-5, rtol=0, msg="frame 0 is the image itself")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context_length": 2}, "at least 3 frames"),
        ({"context_length": LENGTH, "context_stride": LENGTH}, "overlap at 1 to 4"),
        ({"context_length": LENGTH, "weighting_scheme": "round"}, "flat, pyramid"),
        ({"context_length": LENGTH, "continuation": "back"}, "free, cycle, return"),
        ({"context_length": 40, "num_frames": 50}, "makes 2 to 32"),
    ],
)
def test_windows_that_cannot_be_are_refused(
    tiny: MultiViewVideoPipeline, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(tiny, **{"num_frames": 12, **options})
