"""An image autoencoder that needs no training to encode: principal components of small patches.

Every latent pixel is one patch, projected on the first principal components of the patches of a data set, so a
diffusion model can start to learn at once. The decoder undoes the projection and refines the result with a small
network, which can be trained at any time later, because the latents do not depend on it.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from animate3d.errors import InputError


class PointDistribution:
    """The distribution of an encoder without randomness, with the attributes that the pipeline reads."""

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean
        self.std = torch.zeros_like(mean)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """The mean; there is nothing to draw."""
        return self.mean

    def mode(self) -> Tensor:
        """The mean."""
        return self.mean


class PatchAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Linear encoder of patches, linear decoder with a refining network. Takes `AutoencoderKL`'s place in a pipeline.

    Args:
        patch_size: edge of a patch; pixels per latent.
        latent_channels: principal components that are kept.
        refiner_channels: widths of the refiner at the resolution of the latents and after each doubling; empty for
            none. There are ``log2(patch_size) + 1`` of them.
        refiner_layers: residual blocks per resolution.
        scaling_factor: latents times this have unit variance.
    """

    @register_to_config
    def __init__(
        self,
        patch_size: int = 4,
        latent_channels: int = 8,
        refiner_channels: tuple[int, ...] = (96, 48, 24),
        refiner_layers: int = 2,
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        if patch_size < 1 or patch_size & (patch_size - 1):
            raise InputError(f"`patch_size` is {patch_size}; it must be a power of two.")
        if refiner_channels and 2 ** (len(refiner_channels) - 1) != patch_size:
            raise InputError(f"`refiner_channels` needs a width for every resolution up to patches of {patch_size}.")
        self.project = nn.Conv2d(3, latent_channels, patch_size, patch_size)
        self.unproject = nn.ConvTranspose2d(latent_channels, 3, patch_size, patch_size)
        self.refiner = Refiner(latent_channels, refiner_channels, refiner_layers) if refiner_channels else None

    @apply_forward_hook
    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """Images ``[N, 3, H, W]`` in -1..1 to latents ``[N, C, H/p, W/p]``, in ``latent_dist``."""
        distribution = PointDistribution(self.project(x))
        return AutoencoderKLOutput(latent_dist=cast(Any, distribution)) if return_dict else (distribution,)

    @apply_forward_hook
    def decode(self, z: Tensor, return_dict: bool = True, generator: Any = None) -> Any:
        """Latents ``[N, C, h, w]`` to images ``[N, 3, h p, w p]`` in about -1..1."""
        images = self.unproject(z)
        if self.refiner is not None:
            images = images + self.refiner(z * self.config["scaling_factor"])
        return DecoderOutput(sample=images) if return_dict else (images,)

    @torch.no_grad()
    def fit(self, images: Tensor) -> float:
        """Set the projection from images, and the scaling factor for unit variance.

        A component of deviation s becomes a latent of deviation √s: in between raw components, of which the first
        drown the rest, and whitened ones, of which the last, mostly noise, weigh as much as the first.

        Args:
            images: ``[N, 3, H, W]`` in -1..1.

        Returns:
            share of the variance that the components hold.
        """
        size, channels = self.config["patch_size"], self.config["latent_channels"]
        color = images.double().mean(dim=(0, 2, 3))
        patches = nn.functional.unfold(images.double() - color[:, None, None], size, stride=size)
        patches = patches.transpose(1, 2).flatten(0, 1)  # [N L, 3 p p]
        variances, axes = torch.linalg.eigh(patches.T @ patches / len(patches))
        variances, axes = variances.flip(0).clamp_min(1e-12), axes.flip(1)
        kept, scale = axes[:, :channels], variances[:channels] ** -0.25
        encode, decode = (kept * scale).T, (kept / scale).T
        self.project.weight.copy_(encode.reshape(channels, 3, size, size))
        self.project.bias.copy_(-encode @ color.repeat_interleave(size * size))  # type: ignore[union-attr]
        self.unproject.weight.copy_(decode.reshape(channels, 3, size, size))
        self.unproject.bias.copy_(color)  # type: ignore[union-attr]
        self.register_to_config(scaling_factor=float(1 / (patches @ encode.T).std()))
        return float(variances[:channels].sum() / variances.sum())


class Refiner(nn.Module):
    """What is added to the linear decoding: residual blocks at growing resolutions."""

    def __init__(self, latent_channels: int, channels: tuple[int, ...], layers: int) -> None:
        super().__init__()
        self.start = nn.Conv2d(latent_channels, channels[0], 3, padding=1)
        self.levels = nn.ModuleList()
        for width, following in zip(channels, [*channels[1:], None], strict=True):
            level: list[nn.Module] = [_Residual(width) for _ in range(layers)]
            if following is not None:
                level += [nn.Conv2d(width, 4 * following, 1), nn.PixelShuffle(2)]
            self.levels.append(nn.Sequential(*level))
        self.end = nn.Conv2d(channels[-1], 3, 3, padding=1)
        nn.init.zeros_(self.end.weight)
        nn.init.zeros_(cast(Tensor, self.end.bias))

    def forward(self, latents: Tensor) -> Tensor:
        """Scaled latents ``[N, C, h, w]`` to ``[N, 3, h p, w p]``."""
        hidden = self.start(latents)
        for level in self.levels:
            hidden = level(hidden)
        return self.end(nn.functional.silu(hidden))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        silu = nn.functional.silu
        return hidden + self.second(silu(self.first(silu(hidden))))
