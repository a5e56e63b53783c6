"""Losses that plugins take from the host."""

from torch import Tensor


def tv_loss(x: Tensor) -> Tensor:
    """Total variation of an image batch ``[B, C, H, W]``: mean squared difference of neighbours, down and right."""
    down = (x[:, :, 1:] - x[:, :, :-1]).square()
    right = (x[:, :, :, 1:] - x[:, :, :, :-1]).square()
    return 2 * (down.sum() / down[0].numel() + right.sum() / right[0].numel()) / x.shape[0]
