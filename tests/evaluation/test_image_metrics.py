"""Known answers of PSNR, SSIM and IoU on the object."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from animate3d.evaluation.image_metrics import Video, image_scores, psnr, ssim_map


def disc(size: int = 48, radius: float = 14, shift: float = 0.0, value: Tensor | float = 0.8) -> Tensor:
    """A disc of one colour, straight alpha ``[2, S, S, 4]``."""
    ticks = torch.arange(size) - (size - 1) / 2
    alpha = ((ticks[:, None] ** 2 + (ticks[None] - shift) ** 2) < radius**2).float()
    rgb = torch.zeros(size, size, 3) + value
    return torch.cat([rgb, alpha[..., None]], dim=-1).expand(2, -1, -1, -1)


def on_grey(rgba: Tensor) -> Tensor:
    """As test renders are stored."""
    alpha = rgba[..., 3:]
    return torch.cat([rgba[..., :3] * alpha + 0.5 * (1 - alpha), alpha], dim=-1)


def test_equal_videos_are_perfect() -> None:
    scores = image_scores(Video.from_rendered(on_grey(disc())), Video.from_straight(disc()))
    assert psnr(scores.squared_error).tolist() == [100.0, 100.0]
    torch.testing.assert_close(scores.ssim, torch.ones(2))
    assert scores.iou.tolist() == [1.0, 1.0]


def test_a_colour_that_is_off_by_a_tenth_on_the_object_has_20_db() -> None:
    """The background, which is right, does not dilute it."""
    scores = image_scores(Video.from_straight(disc(value=0.8)), Video.from_straight(disc(value=0.7)))
    torch.testing.assert_close(psnr(scores.squared_error), torch.full((2,), 20.0), atol=1e-4, rtol=0)
    assert scores.iou.tolist() == [1.0, 1.0]


def test_parts_that_are_missing_and_parts_that_are_too_much_count_alike() -> None:
    large, small = Video.from_straight(disc(radius=14)), Video.from_straight(disc(radius=10))
    missing, extra = image_scores(small, large), image_scores(large, small)
    torch.testing.assert_close(missing.squared_error, extra.squared_error)
    share = 1 - float(small.mask[0].sum() / large.mask[0].sum())
    torch.testing.assert_close(missing.squared_error, torch.full((2,), 0.3**2 * share))
    torch.testing.assert_close(missing.iou, torch.full((2,), 1 - share))


def test_the_overlap_of_a_shifted_square_is_known() -> None:
    square = torch.zeros(1, 40, 40, 4)
    square[:, 10:30, 10:30] = 1
    shifted = square.roll(5, dims=2)
    scores = image_scores(Video.from_straight(square), Video.from_straight(shifted))
    assert scores.iou.tolist() == pytest.approx([15 / 25])


def test_ssim_is_that_of_the_library_where_everything_counts() -> None:
    a, b = torch.rand(5, 33, 40, 3), torch.rand(5, 33, 40, 3)
    whole = structural_similarity_index_measure(
        a.movedim(-1, 1), b.movedim(-1, 1), data_range=1.0, reduction="none", return_full_image=False
    )
    torch.testing.assert_close(ssim_map(a, b).mean(dim=(1, 2)), whole, atol=1e-5, rtol=0)


def test_ssim_falls_with_noise_on_the_object_and_ignores_the_background() -> None:
    clean = Video.from_straight(disc())
    noise = 0.1 * torch.randn(clean.color.shape)
    on_object = Video(clean.color + noise * clean.mask[..., None], clean.alpha)
    outside = Video(clean.color.clone(), clean.alpha)
    outside.color[:, :3] += 0.2  # farther from the object than the window of SSIM
    assert float(image_scores(on_object, clean).ssim.mean()) < 0.7
    torch.testing.assert_close(image_scores(outside, clean).ssim, torch.ones(2))


def test_videos_of_different_sizes_are_compared_at_the_smaller_one() -> None:
    small = disc(size=24, radius=7)
    large = small.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    for pair in ((small, large), (large, small)):
        scores = image_scores(*(Video.from_straight(images) for images in pair))
        assert float(psnr(scores.squared_error).min()) > 90


def test_two_empty_images_are_equal_and_one_is_not() -> None:
    empty, full = Video.from_straight(disc(radius=0)), Video.from_straight(disc())
    assert image_scores(empty, empty).ssim.tolist() == [1.0, 1.0]
    assert image_scores(empty, empty).squared_error.tolist() == [0.0, 0.0]
    assert image_scores(empty, full).iou.tolist() == [0.0, 0.0]
    assert math.isclose(float(image_scores(empty, full).squared_error[0]), 0.09, rel_tol=1e-5)
