"""`gaussian-splatting-3d-vis`: a static Gaussian model, to be rendered."""

import torch

from animate3d.rasterize import Splats
from animate3d.studio import api as threestudio

from .buffers import GaussianBuffers


@threestudio.register("gaussian-splatting-3d-vis")
class StaticGaussians(GaussianBuffers):
    """Gaussians as they are in the file."""

    def splats(self, camera_positions: torch.Tensor) -> Splats:
        """One frame, seen from V cameras at ``[V, 3]``."""
        return self.splats_of(self._xyz[None], self.get_rotation[None], self.get_scaling[None], camera_positions)
