"""Base classes of geometry, material, background, renderer and exporter, and the built-in ones."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from animate3d.errors import InputError
from animate3d.studio.base import BaseModule, BaseObject
from animate3d.studio.networks import get_mlp
from animate3d.studio.ops import get_activation
from animate3d.studio.registry import register


class BaseGeometry(BaseModule):
    """Shape, and features of its points."""

    @dataclass
    class Config(BaseModule.Config):
        pass

    @staticmethod
    def create_from(other: BaseGeometry, cfg: Any = None, **kwargs: Any) -> BaseGeometry:
        """Convert another geometry; override where that is possible."""
        raise TypeError(f"Cannot create {BaseGeometry.__name__} from {other.__class__.__name__}")

    def export(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Features for an exporter."""
        return {}


class BaseMaterial(BaseModule):
    """Features to colours."""

    @dataclass
    class Config(BaseModule.Config):
        pass

    requires_normal: bool = False
    requires_tangent: bool = False

    def export(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Textures for an exporter."""
        return {}


class BaseBackground(BaseModule):
    """Ray directions to colours."""

    @dataclass
    class Config(BaseModule.Config):
        pass

    def forward(self, dirs: Tensor) -> Tensor:
        """``[..., 3]`` directions to colours."""
        raise NotImplementedError


class _Shown:
    """What is drawn or exported: a geometry with its material before a background."""

    @dataclass
    class SubModules:
        geometry: BaseGeometry
        material: BaseMaterial
        background: BaseBackground

    sub_modules: SubModules

    @property
    def geometry(self) -> BaseGeometry:
        return self.sub_modules.geometry

    @property
    def material(self) -> BaseMaterial:
        return self.sub_modules.material

    @property
    def background(self) -> BaseBackground:
        return self.sub_modules.background


class Renderer(BaseModule, _Shown):
    """Draws a geometry with its material before a background.

    The three are kept outside of the module tree, because the system registers them: the state dict holds each once.
    """

    @dataclass
    class Config(BaseModule.Config):
        radius: float = 1.0

    def configure(self, geometry: BaseGeometry, material: BaseMaterial, background: BaseBackground) -> None:  # type: ignore[override]
        """Keep the components; subclasses call this first."""
        self.sub_modules = self.SubModules(geometry, material, background)
        radius = float(self.cfg.radius)
        self.bbox: Tensor
        self.register_buffer("bbox", torch.tensor([[-radius] * 3, [radius] * 3]))

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Draw a batch of cameras."""
        raise NotImplementedError

    def set_geometry(self, geometry: BaseGeometry) -> None:
        """Exchange the geometry."""
        self.sub_modules.geometry = geometry

    def set_material(self, material: BaseMaterial) -> None:
        """Exchange the material."""
        self.sub_modules.material = material

    def set_background(self, background: BaseBackground) -> None:
        """Exchange the background."""
        self.sub_modules.background = background


class VolumeRenderer(Renderer):
    """Base of renderers that march rays."""


class Rasterizer(Renderer):
    """Base of renderers that draw primitives."""


@dataclass
class ExporterOutput:
    """One file to write: ``save_{save_type}(save_name, **params)`` of the system."""

    save_name: str
    save_type: str
    params: dict[str, Any]


class Exporter(BaseObject, _Shown):
    """Turns a trained system into files."""

    @dataclass
    class Config(BaseObject.Config):
        save_video: bool = False

    def configure(self, geometry: BaseGeometry, material: BaseMaterial, background: BaseBackground) -> None:  # type: ignore[override]
        """Keep the components."""
        self.sub_modules = self.SubModules(geometry, material, background)

    def __call__(self, *args: Any, **kwargs: Any) -> list[ExporterOutput]:
        """Files to write."""
        raise NotImplementedError


@register("mesh-exporter")
class MeshExporter(Exporter):
    """Writes the surface of a geometry that has one (``isosurface()`` with ``v_pos`` and ``t_pos_idx``)."""

    @dataclass
    class Config(Exporter.Config):
        save_name: str = "model"

    def __call__(self, *args: Any, **kwargs: Any) -> list[ExporterOutput]:
        """The surface as one OBJ."""
        if not hasattr(self.geometry, "isosurface"):
            raise InputError(
                f"{type(self.geometry).__name__} has no surface to export; set system.exporter_type to an exporter "
                "made for it, or export the trajectory with tools/mesh_animation/export_animated_mesh.py."
            )
        mesh: Any = self.geometry.isosurface()  # type: ignore[operator]  # plugins' geometries define it
        params = {"v_pos": mesh.v_pos, "t_pos_idx": mesh.t_pos_idx}
        return [ExporterOutput(f"{self.cfg.save_name}.obj", "mesh", params)]


@register("solid-color-background")
class SolidColorBackground(BaseBackground):
    """One colour everywhere, fixed or learned."""

    @dataclass
    class Config(BaseBackground.Config):
        n_output_dims: int = 3
        color: Any = (1.0, 1.0, 1.0)
        learned: bool = False
        random_aug: bool = False
        random_aug_prob: float = 0.5

    def configure(self) -> None:  # type: ignore[override]
        """Make the colour a buffer, or a parameter when it is learned."""
        color = torch.as_tensor(list(self.cfg.color), dtype=torch.float32)
        self.env_color: Tensor
        if self.cfg.learned:
            self.env_color = nn.Parameter(color)
        else:
            self.register_buffer("env_color", color)

    def forward(self, dirs: Tensor) -> Tensor:
        """``[..., 3]`` directions to ``[..., C]``; in training sometimes a random colour, one per image."""
        color = self.env_color.to(dirs).expand(*dirs.shape[:-1], self.cfg.n_output_dims)
        if self.training and self.cfg.random_aug and random.random() < self.cfg.random_aug_prob:
            one_per_image = torch.rand(dirs.shape[0], *[1] * (dirs.dim() - 2), self.cfg.n_output_dims).to(dirs)
            color = color * 0 + one_per_image
        return color


@register("no-material")
class NoMaterial(BaseMaterial):
    """Features are the colour: an activation, after an optional MLP."""

    @dataclass
    class Config(BaseMaterial.Config):
        n_output_dims: int = 3
        color_activation: str = "sigmoid"
        input_feature_dims: int | None = None
        mlp_network_config: dict[str, Any] | None = field(default=None)
        requires_normal: bool = False

    def configure(self) -> None:  # type: ignore[override]
        """Build the MLP if the config has one."""
        self.network: nn.Module | None = None
        if self.cfg.input_feature_dims is not None and self.cfg.mlp_network_config is not None:
            self.network = get_mlp(self.cfg.input_feature_dims, self.cfg.n_output_dims, self.cfg.mlp_network_config)
        self.requires_normal = self.cfg.requires_normal

    def forward(self, features: Tensor, **kwargs: Any) -> Tensor:
        """``[..., D]`` features to colours."""
        if self.network is not None:
            features = self.network(features.view(-1, features.shape[-1])).view(*features.shape[:-1], -1)
        elif features.shape[-1] != self.cfg.n_output_dims:
            raise ValueError(f"Expected {self.cfg.n_output_dims} features per point, got {features.shape[-1]}.")
        return get_activation(self.cfg.color_activation)(features)

    def export(self, features: Tensor, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Colour as the albedo."""
        return {"albedo": self(features, **kwargs)[..., :3]}
