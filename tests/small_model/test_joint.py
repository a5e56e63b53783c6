"""Passes in half precision beside weights in single precision."""

from __future__ import annotations

import copy

import torch
from torch import nn

from animate3d.small_model.joint import hand_gradients, hand_weights


def test_a_copy_in_half_precision_gives_its_gradients_and_takes_the_weights() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    worker = copy.deepcopy(model).bfloat16()
    x = torch.randn(5, 4)
    worker(x.bfloat16()).square().sum().backward()
    model(x).square().sum().backward()
    assert model.weight.grad is not None
    expected = model.weight.grad.clone()
    model.weight.grad.zero_()
    hand_gradients(worker, model)
    assert model.weight.grad.dtype == torch.float32
    torch.testing.assert_close(model.weight.grad, expected, rtol=0.05, atol=0.05)
    with torch.no_grad():
        model.weight.add_(0.5)
    hand_weights(model, worker)
    torch.testing.assert_close(worker.weight, model.weight.bfloat16())
