"""Loss terms by name."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from animate3d.motion import LOSSES, StepTensors, tv_loss


@pytest.fixture
def step() -> StepTensors:
    def image(channels: int) -> torch.Tensor:
        return torch.rand(2, 3, 5, 7, channels)

    return StepTensors(
        color=image(3),
        mask=image(1),
        target_color=image(3),
        target_mask=image(1).round(),
        means=torch.randn(2, 11, 3),
        scales=torch.rand(2, 11, 3),
        opacities=torch.rand(11),
        depth=image(1),
        normal=image(3),
        first=(image(3), image(1), image(3), image(1)),
    )


def test_total_variation_follows_the_host_definition() -> None:
    images = torch.rand(3, 2, 5, 7)
    vertical = (images[:, :, 1:] - images[:, :, :-1]).square().sum() / (2 * 4 * 7)
    horizontal = (images[:, :, :, 1:] - images[:, :, :, :-1]).square().sum() / (2 * 5 * 6)
    torch.testing.assert_close(tv_loss(images), 2 * (vertical + horizontal) / 3)
    assert tv_loss(images[:, :, :1, :1]) == 0


PULLS = {"rgb": "color", "tv_loss": "color", "sparsity": "mask", "position": "means", "opacity": "opacities"}
PULLS |= {"depth_tv_loss": "depth", "normal_tv": "normal"}


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_term_is_a_finite_number_with_a_gradient(step: StepTensors, name: str) -> None:
    pulled = {key: getattr(step, key).requires_grad_() for key in ("color", "mask", "means", "scales", "opacities")}
    pulled |= {"depth": step.depth.requires_grad_(), "normal": step.normal.requires_grad_()}
    pulled |= {"first_frame_rgb": step.first[0].requires_grad_(), "first_frame_mask": step.first[1].requires_grad_()}
    value = LOSSES[name](step)
    assert value.shape == () and torch.isfinite(value)
    (gradient,) = torch.autograd.grad(value, pulled[PULLS.get(name, name)])
    assert torch.isfinite(gradient).all() and gradient.any()


@pytest.mark.parametrize("name", ["depth_tv_loss", "normal_tv", "first_frame_rgb", "first_frame_mask"])
def test_a_term_without_its_input_says_so(step: StepTensors, name: str) -> None:
    bare = dataclasses.replace(step, depth=None, normal=None, first=None)
    with pytest.raises(ValueError, match=f"lambda_{name}"):
        LOSSES[name](bare)
