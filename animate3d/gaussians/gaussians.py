"""The Gaussian container."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from animate3d.gaussians import sh as harmonics
from animate3d.rotations import matrix_to_quaternion, quaternion_multiply

if TYPE_CHECKING:
    from animate3d.meshes.placement import Placement


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians as they are stored on disk, before any activation.

    Attributes:
        means: ``[N, 3]``
        sh: ``[N, (degree + 1)**2, 3]`` spherical harmonics; the first entry is the direction-free colour.
        opacity_logits: ``[N]``
        log_scales: ``[N, 3]``
        quats: ``[N, 4]`` w x y z, any length.
    """

    means: Tensor
    sh: Tensor
    opacity_logits: Tensor
    log_scales: Tensor
    quats: Tensor

    def __post_init__(self) -> None:
        n = len(self.means)
        harmonics.degree_of(self.sh.shape[1])
        shapes = {"means": (n, 3), "opacity_logits": (n,), "log_scales": (n, 3), "quats": (n, 4)}
        for name, shape in shapes.items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(f"`{name}` must be {shape}, got {tuple(getattr(self, name).shape)}.")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        """0 to 3"""
        return harmonics.degree_of(self.sh.shape[1])

    @property
    def colors(self) -> Tensor:
        """Direction-free colours in 0..1 ``[N, 3]``."""
        return harmonics.to_rgb(self.sh[:, 0]).clamp(0, 1)

    @property
    def opacities(self) -> Tensor:
        """``[N]`` in 0..1"""
        return torch.sigmoid(self.opacity_logits)

    @property
    def scales(self) -> Tensor:
        """Standard deviations along the Gaussians' own axes ``[N, 3]``."""
        return torch.exp(self.log_scales)

    def to(self, *args: object, **kwargs: object) -> Gaussians:
        """Move or cast every tensor, as `torch.Tensor.to`."""
        return replace(self, **{f.name: getattr(self, f.name).to(*args, **kwargs) for f in fields(self)})

    def transformed(self, placement: Placement, *, rotate_sh: bool = True) -> Gaussians:
        """Place the Gaussians: means, orientations, sizes and the lobes of their colours. Quaternions become unit.

        Args:
            placement: rotation, scale and translation.
            rotate_sh: turn the bands above 0 too, so that the model looks the same from the turned direction. The
                original loader does not; False reproduces it.
        """
        rotation = torch.as_tensor(placement.rotation, dtype=torch.float64, device=self.means.device)
        turn = matrix_to_quaternion(rotation).to(self.quats.dtype)
        return replace(
            self,
            means=placement.apply(self.means),
            sh=harmonics.rotate(self.sh, rotation) if rotate_sh and self.sh_degree > 0 else self.sh,
            log_scales=self.log_scales + math.log(placement.scale),
            quats=quaternion_multiply(turn, torch.nn.functional.normalize(self.quats, dim=-1)),
        )
