"""Condition images reach the model on grey once: straight alpha is composited, renders of step 2 are as stored."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from PIL import Image

from animate3d.mvvdm.conditions import prepare_images

OUTSIDE, EDGE, INSIDE = 0, 128, 255  # alpha of the three pixels below


def row(colors: list[int], alphas: list[int]) -> Image.Image:
    """A grey-valued RGBA image, the pixels of one row repeated to a square."""
    pixels = [[[color] * 3 + [alpha] for color, alpha in zip(colors, alphas, strict=True)]] * len(colors)
    return Image.fromarray(np.array(pixels, dtype=np.uint8))


def prepared_row(image: Image.Image) -> list[int]:
    (prepared,) = prepare_images([image], 64, 64)
    assert prepared.mode == "RGB"
    return np.asarray(prepared)[0, :, 0].tolist()


def test_a_render_that_is_on_grey_already_is_taken_as_stored(caplog: pytest.LogCaptureFixture) -> None:
    """A white edge that is half covered stays 0.75 (composited again it would be 0.625)."""
    with caplog.at_level(logging.WARNING):
        assert prepared_row(row([128, 191, 255], [OUTSIDE, EDGE, INSIDE])) == [128, 191, 255]
        assert prepared_row(row([127, 191, 255], [OUTSIDE, EDGE, INSIDE])) == [127, 191, 255]
    assert not caplog.text


@pytest.mark.parametrize("outside", [0, 255])
def test_straight_alpha_is_composited_once_and_said(outside: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        pixels = prepared_row(row([outside, 255, 255], [OUTSIDE, EDGE, INSIDE]))
    assert pixels == [128, 192, 255]  # 255 * 128/255 + 128 * 127/255
    assert caplog.text.count("transparent pixels") == 1


def test_alpha_without_a_background_is_straight() -> None:
    assert prepared_row(row([255, 255, 255], [EDGE, EDGE, INSIDE])) == [192, 192, 255]


def test_an_opaque_image_with_alpha_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert prepared_row(row([0, 100, 255], [INSIDE] * 3)) == [0, 100, 255]
    assert not caplog.text
