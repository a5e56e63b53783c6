"""The deformation field of a checkpoint, without the host that trained it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.gaussians import Gaussians
from animate3d.motion.deformation import DeformationField
from animate3d.motion.kplanes import PLANE_AXES
from animate3d.motion.start import OBJECTS_NAME, START_NAMES, start_at

_PREFIX = "geometry."


@dataclass(frozen=True)
class FittedMotion:
    """What moves a static Gaussian model.

    Attributes:
        field: the deformation field.
        xyz: ``[N, 3]`` placed centres of the model that it was fitted to.
        start: positions and rotations that it adds to, None for the static ones.
        scales_change: the change of scale was trained.
        objects: ``[N]`` the object of every Gaussian in a scene of several, else None.
    """

    field: DeformationField
    xyz: Tensor
    start: tuple[Tensor, Tensor] | None
    scales_change: bool
    objects: Tensor | None = None

    @torch.no_grad()
    def pose(
        self, gaussians: Gaussians, time: float, start: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A placed model at a time in -1..1: means ``[N, 3]``, unit quaternions ``[N, 4]``, scales ``[N, 3]``.

        Args:
            gaussians: those that the checkpoint was fitted to, or, with ``start``, all that they stand for.
            start: where the coarse motion has them then, ``[N, 3]`` and ``[N, 4]``; the checkpoint's own by default.

        Raises:
            InputError: the checkpoint moves another number of Gaussians.
        """
        times = torch.tensor([time], dtype=torch.float32)
        whole, objects = None, None
        if start is not None:
            change = self.field(self.xyz, times, with_scale=False)
            if change.rotation is not None and change.translation is not None:
                whole = (change.rotation, change.translation)
            begin: tuple[Tensor, Tensor] | None = (start[0][None], start[1][None])
        elif len(gaussians) != len(self.xyz):
            raise InputError(f"The checkpoint moves {len(self.xyz)} Gaussians, the model has {len(gaussians)}.")
        else:
            begin = None if self.start is None else start_at(*self.start, times)
            objects = self.objects
        parts = (gaussians.means, gaussians.quats, gaussians.log_scales)
        moved = self.field.deform(
            *parts, times, use_delta_scale=self.scales_change, start=begin, whole=whole, objects=objects
        )
        means, quats, scales = (part[0] for part in moved)
        return means, quats, scales


def load_motion(path: str | Path) -> FittedMotion:
    """Read the checkpoint of a motion fit or a refinement.

    Raises:
        InputError: no such file, or one without a deformation field.
    """
    path = existing_file(path, "checkpoint")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        state = {key[len(_PREFIX) :]: value for key, value in stored.items() if key.startswith(_PREFIX)}
        field = _field_of(state)
        xyz = state["_xyz"]
    except Exception as error:  # the unpickler raises whatever a damaged file leads it into
        raise InputError(f"{path} is not the checkpoint of a motion ({error}).") from error
    start = tuple(state[name] for name in START_NAMES) if START_NAMES[0] in state else None
    changed = bool(state["delta_scaling_network.layers.2.weight"].any())
    return FittedMotion(field, xyz, start, changed, state.get(OBJECTS_NAME))  # type: ignore[arg-type]


def _field_of(state: Mapping[str, Tensor]) -> DeformationField:
    """The field whose sizes the weights tell."""
    own = {key: value for key, value in state.items() if key.startswith(("grids.", "delta_", "global_"))}
    scales = 1 + max(int(key.split(".")[1]) for key in own if key.startswith("grids."))
    sizes = [_resolution([own[f"grids.{scale}.{plane}"] for plane in range(6)]) for scale in range(scales)]
    width, hidden = own["grids.0.0"].shape[1], own["delta_xyz_network.layers.0.weight"].shape[0]
    moves_whole = any(key.startswith("global_") for key in own)
    field = DeformationField(sizes, width, use_global_trans=moves_whole, n_neurons=hidden)
    field.load_state_dict(own)
    return field.requires_grad_(False)


def _resolution(planes: list[Tensor]) -> tuple[int, ...]:
    """Resolutions over x, y, z and t of the six planes of a scale."""
    found = dict.fromkeys(range(4), 0)
    for plane, (i, j) in zip(planes, PLANE_AXES, strict=True):
        found[j], found[i] = plane.shape[-2:]
    return tuple(found[axis] for axis in range(4))
