"""Networks that configs describe by ``otype``."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from animate3d.errors import InputError
from animate3d.studio.ops import get_activation


class VanillaMLP(nn.Module):
    """Linear, ReLU, ..., Linear without biases; runs in float32 also under autocast.

    Args:
        dim_in, dim_out: features.
        config: ``n_neurons``, ``n_hidden_layers`` and optionally ``output_activation``.
    """

    def __init__(self, dim_in: int, dim_out: int, config: Any) -> None:
        super().__init__()
        width, depth = config["n_neurons"], config["n_hidden_layers"]
        sizes = [dim_in, *[width] * depth]
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [nn.Linear(n_in, n_out, bias=False), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], dim_out, bias=False))
        self.output_activation = get_activation(config.get("output_activation", None))

    def forward(self, x: Tensor) -> Tensor:
        """``[..., dim_in]`` to ``[..., dim_out]``."""
        with torch.autocast(x.device.type, enabled=False):
            return self.output_activation(self.layers(x.float()))


def get_mlp(n_input_dims: int, n_output_dims: int, config: Any) -> nn.Module:
    """Network of ``config.otype``.

    Raises:
        InputError: a type that the embedded host does not have (tiny-cuda-nn's).
    """
    if config["otype"] != "VanillaMLP":
        raise InputError(f"The network type '{config['otype']}' is not available here; use otype: VanillaMLP.")
    return VanillaMLP(n_input_dims, n_output_dims, config)


def get_encoding(n_input_dims: int, config: Any) -> nn.Module:
    """Input encodings of threestudio are CUDA kernels, which the embedded host does not carry.

    Raises:
        InputError: always.
    """
    raise InputError(f"The encoding '{config.get('otype')}' needs tiny-cuda-nn; run this plugin in threestudio itself.")
