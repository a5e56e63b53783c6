"""A static Gaussian model held in buffers under the names of 3D Gaussian Splatting."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from animate3d.errors import InputError
from animate3d.gaussians import Gaussians, load_gaussians, sh
from animate3d.meshes.placement import Placement
from animate3d.rasterize import Splats
from animate3d.studio import api as threestudio

NAMES = ("_xyz", "_features_dc", "_features_rest", "_opacity", "_scaling", "_rotation")


class GaussianBuffers(threestudio.BaseGeometry):
    """Gaussians that are not optimised: they come from a ply file, or from the checkpoint that is loaded.

    Buffers: ``_xyz [N, 3]``, ``_features_dc [N, 1, 3]``, ``_features_rest [N, K - 1, 3]``, ``_opacity [N, 1]`` (logit),
    ``_scaling [N, 3]`` (log), ``_rotation [N, 4]`` (w x y z).
    """

    @dataclass
    class Config(threestudio.BaseGeometry.Config):
        geometry_convert_from: str | None = None
        """The file of Gaussians. May be missing when a checkpoint is loaded, which holds the Gaussians as well."""
        load_ply_cfg: dict = field(default_factory=dict)
        """``rot_x_degree``, ``rot_z_degree``, ``scale_factor``; or ``placement``, a file that takes their place.
        ``model_type`` is accepted and changes nothing: every ply is read alike."""
        sh_degree: int = 0
        """Bands of view-dependent colour that are kept."""

        # Keys of the documented configs that have no effect, because nothing here is densified or pruned and the
        # static model is not optimised.
        position_lr: Any = 0.001
        scale_lr: Any = 0.01
        feature_lr: Any = 0.01
        opacity_lr: Any = 0.05
        rotation_lr: Any = 0.01
        densification_interval: int = 100000
        prune_interval: int = 100000
        opacity_reset_interval: int = 50000000
        densify_from_iter: int = 100000
        densify_until_iter: int = 200000
        prune_from_iter: int = 100000
        prune_until_iter: int = 200000
        densify_grad_threshold: float | None = None
        min_opac_prune: float = 100.0
        split_thresh: float = 100.0
        radii2d_thresh: float = 1000
        init_num_pts: int = 4096
        pc_init_radius: float = 0.8
        opacity_init: float = 0.2

    cfg: Config

    def configure(self) -> None:
        super().configure()
        placement = placement_of(self.cfg.load_ply_cfg)
        self._set(torch.zeros(0, 3), torch.zeros(0, 1, 3), torch.zeros(0), torch.zeros(0, 3), torch.zeros(0, 4))
        path = self.cfg.geometry_convert_from
        if path and Path(path).exists():
            self.hold(load_gaussians(path).transformed(placement))

    def hold(self, gaussians: Gaussians) -> None:
        """Take over these Gaussians, reduced to ``sh_degree``."""
        kept = gaussians.sh[:, : (self.cfg.sh_degree + 1) ** 2]
        self._set(gaussians.means, kept, gaussians.opacity_logits, gaussians.log_scales, gaussians.quats)

    def _set(self, means: Tensor, harmonics: Tensor, opacity_logits: Tensor, log_scales: Tensor, quats: Tensor) -> None:
        values = (means, harmonics[:, :1], harmonics[:, 1:], opacity_logits[:, None], log_scales, quats)
        for name, value in zip(NAMES, values, strict=True):
            self.register_buffer(name, value.contiguous())

    def require_gaussians(self) -> None:
        """Raise unless there is something to show.

        Raises:
            InputError: neither the ply file nor a checkpoint gave any Gaussians.
        """
        if len(self._xyz) > 0:
            return
        path = self.cfg.geometry_convert_from
        problem = f"The Gaussian ply {path} does not exist" if path else "There is no Gaussian model"
        raise InputError(
            f"{problem}: set system.geometry.geometry_convert_from to a 3DGS ply file, or resume= to a checkpoint."
        )

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any, **kwargs: Any) -> None:
        # A checkpoint holds its own Gaussians: make room for as many as it has, whatever the ply had.
        if prefix + "_xyz" in state_dict:
            held, stored = len(self._xyz), len(state_dict[prefix + "_xyz"])
            if held not in (0, stored):
                threestudio.info(f"The checkpoint's {stored} Gaussians replace the {held} of the ply file.")
            for name in NAMES:
                if prefix + name in state_dict:
                    setattr(self, name, torch.empty_like(state_dict[prefix + name], device=self._xyz.device))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    # What threestudio-3dgs's renderer reads.
    @property
    def get_xyz(self) -> Tensor:
        return self._xyz

    @property
    def get_features(self) -> Tensor:
        return torch.cat([self._features_dc, self._features_rest], dim=1)

    @property
    def get_opacity(self) -> Tensor:
        return torch.sigmoid(self._opacity)

    @property
    def get_scaling(self) -> Tensor:
        return torch.exp(self._scaling)

    @property
    def get_rotation(self) -> Tensor:
        return torch.nn.functional.normalize(self._rotation, dim=-1)

    @property
    def active_sh_degree(self) -> int:
        return sh.degree_of(1 + self._features_rest.shape[1])

    max_sh_degree = active_sh_degree

    def splats_of(self, means: Tensor, quats: Tensor, scales: Tensor, camera_positions: Tensor) -> Splats:
        """Activated Gaussians of F frames with the colours that V cameras see.

        Args:
            means, quats, scales: ``[F, N, 3 | 4]``
            camera_positions: ``[V, 3]`` or ``[F, V, 3]``
        """
        if self._features_rest.shape[1] == 0:
            colors = sh.to_rgb(self._features_dc[:, 0]).clamp_min(0)
        else:
            # The lobes of the colours do not turn with the motion: they light the moving object from where they did.
            directions = means[:, None] - camera_positions[..., None, :]
            colors = sh.evaluate(self.get_features, directions.detach()).clamp_min(0)
        return Splats(means, quats, scales, self.get_opacity[:, 0], colors)


def placement_of(config: Any) -> Placement:
    """How ``load_ply_cfg`` places the model.

    Raises:
        InputError: an unknown key, or numbers that are not a placement.
    """
    values = dict(config)
    values.pop("model_type", None)
    path = values.pop("placement", None)
    flags = {key: float(values.pop(key)) for key in ("rot_x_degree", "rot_z_degree", "scale_factor") if key in values}
    if values:
        raise InputError(
            f"system.geometry.load_ply_cfg has no key `{next(iter(values))}`; it has rot_x_degree, rot_z_degree, "
            "scale_factor, model_type and placement."
        )
    return Placement.load(path) if path else Placement.from_flags(**flags)
