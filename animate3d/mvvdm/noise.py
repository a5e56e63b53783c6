"""Random numbers that do not depend on what a sample is batched with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Generator, Tensor

from animate3d.errors import InputError

Generators: TypeAlias = Generator | Sequence[Generator] | None


def generator_list(generator: Generators, batch: int) -> list[Generator] | None:
    """The generators of a call: None for the global one, one for all samples, or one per sample."""
    if generator is None:
        return None
    generators = [generator] if isinstance(generator, Generator) else list(generator)
    if len(generators) not in (1, batch):
        raise InputError(f"{len(generators)} generators for {batch} objects; give one for each or one for all.")
    return generators


def normal(shape: torch.Size, generators: list[Generator] | None, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Gaussian numbers; with a generator per sample every sample draws its own rows."""
    if generators is None:
        return randn_tensor(shape, device=device, dtype=dtype)
    rows = torch.Size((shape[0] // len(generators), *shape[1:]))
    return torch.cat([randn_tensor(rows, generator, device, dtype) for generator in generators])


def uniform(shape: torch.Size, generators: list[Generator] | None, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Numbers from 0 to 1; with a generator per sample every sample draws its own rows."""
    if generators is None:
        return torch.rand(shape, dtype=dtype).to(device)
    rows = (shape[0] // len(generators), *shape[1:])
    return torch.cat([torch.rand(rows, generator=g, device=g.device, dtype=dtype).to(device) for g in generators])
