"""`gaussian-splatting-4d`: a static Gaussian model and the deformation field that moves it."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from animate3d.errors import InputError
from animate3d.motion import DeformationField
from animate3d.motion.captured import Captured
from animate3d.motion.deformation import on_device
from animate3d.motion.start import OBJECTS_NAME, START_NAMES, load_objects, load_start, start_at
from animate3d.studio import api as threestudio

from .buffers import GaussianBuffers


@threestudio.register("gaussian-splatting-4d")
class MovingGaussians(GaussianBuffers):
    """The field's parameters lie directly in this module (``grids.0.0``, ``delta_xyz_network.layers.0.weight``, …)."""

    @dataclass
    class Config(GaussianBuffers.Config):
        grid_size: list[list[int]] = field(default_factory=lambda: [[50, 50, 50, 8], [100, 100, 100, 16]])
        n_input_dims: int = 4
        n_grid_dims: int = 16
        use_global_trans: bool = True
        initial_motion: str | None = None
        """A coarse motion (`animate3d.motion.start`) that the field adds to. It goes into the checkpoint."""
        object_ids_path: str | None = None
        """An ``.npy`` with the object of every Gaussian: objects turn and move as a whole by themselves, and are rigid
        by themselves. It goes into the checkpoint."""
        pred_normal: bool = False
        normal_lr: Any = 0.001
        # Learning rates: a number, or a schedule [start_step, start, end, end_step].
        delta_xyz_network_lr: Any = 0.0001
        delta_rot_network_lr: Any = 0.0001
        delta_scaling_network_lr: Any = 0.0001
        grid_lr: Any = 0.01
        global_trans_lr: Any = 0.001

    cfg: Config

    def configure(self) -> None:
        super().configure()
        if self.cfg.n_input_dims != 4:
            raise InputError(f"system.geometry.n_input_dims is {self.cfg.n_input_dims}; a field over x, y, z, t has 4.")
        if self.cfg.pred_normal:
            raise InputError("system.geometry.pred_normal is not supported: the Gaussians carry no normals.")
        grid_size = [list(row) for row in self.cfg.grid_size]
        if not grid_size or any(len(row) != 4 or min(row) < 1 for row in grid_size):
            raise InputError(
                f"system.geometry.grid_size is {grid_size}; it needs 4 positive sizes (x y z t) per scale."
            )
        field_ = DeformationField(grid_size, self.cfg.n_grid_dims, use_global_trans=self.cfg.use_global_trans)
        for name, part in field_.named_children():
            self.add_module(name, part)
        if self.cfg.initial_motion:
            for name, value in zip(START_NAMES, load_start(self.cfg.initial_motion, len(self._xyz)), strict=True):
                self.register_buffer(name, value)
        if self.cfg.object_ids_path:
            self.register_buffer(OBJECTS_NAME, load_objects(self.cfg.object_ids_path, len(self._xyz)))
        # The field itself stays out of the module tree, or every key would appear a second time below its name.
        self._deform = field_.deform
        self._captured = Captured(field_.move, field_.parameters)
        self._parameter_groups = field_.parameter_groups

    @property
    def object_ids(self) -> Tensor | None:
        """``[N]`` the object of every Gaussian, None for a single object."""
        return getattr(self, OBJECTS_NAME, None)

    @property
    def delta_scale_trained(self) -> bool:
        """Whether the scale head has been trained: it starts at exactly zero and only refinement trains it.

        The weights themselves are the memory, so this also holds for checkpoints of the original.
        """
        return bool(self.delta_scaling_network.layers[-1].weight.detach().any())

    def deform(
        self, times: Tensor, *, use_delta_scale: bool, first_frame_trainable: bool = False, captured: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Means ``[F, N, 3]``, quaternions ``[F, N, 4]`` and scales ``[F, N, 3]`` at ``times [F]``, evaluated once.

        Args:
            times: best on the CPU, where their values are looked at.
            use_delta_scale, first_frame_trainable: see `DeformationField.deform`.
            captured: this is the one call of a training step (`animate3d.motion.captured`).
        """
        return self._deform(
            self._xyz,
            self._rotation,
            self._scaling,
            times,
            use_delta_scale=use_delta_scale,
            first_frame_trainable=first_frame_trainable,
            start=self._start(times),
            move=self._captured if captured else None,
            objects=self.object_ids,
        )

    def _start(self, times: Tensor) -> tuple[Tensor, Tensor] | None:
        if not hasattr(self, START_NAMES[0]):
            return None
        return start_at(*(getattr(self, name) for name in START_NAMES), on_device(times, self._xyz.device))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any, **kwargs: Any) -> None:
        # A checkpoint brings its own start and objects, or shows that there are none.
        for name in (*START_NAMES, OBJECTS_NAME):
            if prefix + name in state_dict:
                empty = torch.empty_like(state_dict[prefix + name], device=self._xyz.device)
                self.register_buffer(name, empty)
            elif hasattr(self, name):
                delattr(self, name)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def optimizer_groups(self) -> list[dict]:
        """Parameter groups for Adam, named by their learning rate's key without ``_lr``."""
        return [{"params": params, "name": name} for name, params in self._parameter_groups().items()]

    def learning_rate(self, group: str) -> Any:
        """What the config says about a group: a number or a schedule."""
        return self.cfg[f"{group}_lr"]
