"""Known answers of the warping error."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from animate3d.errors import InputError
from animate3d.evaluation.consistency import visible, warping_errors
from animate3d.evaluation.image_metrics import Video
from animate3d.masks.flow import warp


def texture(size: int) -> np.ndarray:
    """Smooth noise that optical flow can follow. ``[S, S, 3]``"""
    noise = np.random.default_rng(0).uniform(size=(size, size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return ((smooth - smooth.mean()) * 3 + 0.5).clip(0, 1)


def video(images: list[np.ndarray], mask: np.ndarray | None = None) -> Video:
    color = torch.from_numpy(np.stack(images))
    alpha = torch.ones(color.shape[:3]) if mask is None else torch.from_numpy(mask).float().expand(color.shape[:3])
    return Video(color, alpha)


def shifted(size: int, *offsets: int) -> list[np.ndarray]:
    whole = texture(size + 40)
    return [whole[20 : 20 + size, 20 - offset : 20 - offset + size] for offset in offsets]


def test_a_video_that_stands_still_has_no_error() -> None:
    assert warping_errors(video(shifted(64, 0, 0, 0))).tolist() == [0.0, 0.0]


def test_a_moving_picture_is_consistent_and_a_flickering_one_is_not() -> None:
    """The error of a flicker by d is d² however the picture moves."""
    images = shifted(96, 0, 3, 6, 9)
    inner = np.zeros((96, 96), bool)
    inner[16:80, 16:80] = True
    moving = warping_errors(video(images, inner))
    assert moving.max() < 2e-4
    flicker = [0.8 * image + 0.1 * (i % 2) for i, image in enumerate(images)]
    assert warping_errors(video(flicker, inner)) == pytest.approx([0.01] * 3, rel=0.1)


def test_noise_of_every_frame_counts_twice() -> None:
    images = shifted(96, 0, 0, 0)
    noisy = [i + 0.04 * np.random.default_rng(k).normal(size=i.shape).astype(np.float32) for k, i in enumerate(images)]
    assert warping_errors(video(noisy)).mean() == pytest.approx(2 * 0.04**2, rel=0.35)


def test_only_pixels_of_the_object_count() -> None:
    images = [image.copy() for image in shifted(96, 0, 0)]
    images[1][:, 60:] += 0.1
    left = np.zeros((96, 96), bool)
    left[:, :40] = True
    assert warping_errors(video(images, left))[0] < 1e-4
    assert warping_errors(video(images))[0] > 1e-3


def test_without_an_object_there_is_nothing_to_measure() -> None:
    assert np.isnan(warping_errors(video(shifted(64, 0, 0), np.zeros((64, 64), bool)))).all()


def test_large_images_are_measured_at_the_size_of_the_flow() -> None:
    images = shifted(96, 0, 2)
    large = [np.kron(image, np.ones((4, 4, 1), np.float32)) for image in images]
    np.testing.assert_allclose(warping_errors(video(large), 96), warping_errors(video(images), 96), atol=1e-6)


def test_images_too_small_for_the_flow_are_refused() -> None:
    with pytest.raises(InputError, match="16 pixels"):
        warping_errors(video(shifted(16, 0, 0)))


def test_sampling_follows_a_known_warp() -> None:
    image = texture(32)
    flow = np.zeros((32, 32, 2), np.float32)
    flow[..., 0], flow[..., 1] = 3, -2
    moved = warp(image, flow)
    np.testing.assert_allclose(moved[10, 10], image[8, 13], atol=1e-6)
    flow[...] = 0.5
    np.testing.assert_allclose(warp(image, flow)[5, 5], image[5:7, 5:7].mean(axis=(0, 1)), atol=1e-3)


def test_a_pixel_is_hidden_where_the_flows_disagree_or_lead_out_of_the_image() -> None:
    forward, backward = np.zeros((2, 20, 20, 2), np.float32)
    forward[..., 0], backward[..., 0] = 4, -4
    backward[:, 10:12] = 6
    seen = visible(forward, backward)
    assert seen[:, :5].all()
    assert not seen[:, 6:8].any(), "another surface is in front there"
    assert not seen[:, 16:].any(), "out of the image"
