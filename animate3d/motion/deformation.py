"""The deformation field: K-planes features, small heads, and how they move a set of Gaussians.

In the published code: ``custom/threestudio-animate3d/geometry/gaussian_4d.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from animate3d.motion import fused
from animate3d.motion.kplanes import KPlanes
from animate3d.rotations import euler_to_matrix, matrix_to_quaternion

GRID_SIZE = ((50, 50, 50, 8), (100, 100, 100, 16))
Move: TypeAlias = Callable[..., tuple[Tensor, Tensor, Tensor]]
"""`DeformationField.move`."""


class Deformation(NamedTuple):
    """Offsets of N Gaussians at F times; ``None`` where a part was not asked for or does not exist."""

    delta_xyz: Tensor  # [F, N, 3]
    delta_rot: Tensor  # [F, N, 4], added to the quaternion w x y z before it is normalised
    delta_scale: Tensor | None  # [F, N, 3], added to the log-scale
    rotation: Tensor | None  # [F, 3, 3] of the whole model
    translation: Tensor | None  # [F, 3] of the whole model


class Head(nn.Module):
    """Bias-free two-layer perceptron that starts at zero (keys ``layers.0.weight`` and ``layers.2.weight``)."""

    def __init__(self, n_in: int, n_out: int, n_neurons: int = 32) -> None:
        super().__init__()
        last = nn.Linear(n_neurons, n_out, bias=False)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(nn.Linear(n_in, n_neurons, bias=False), nn.ReLU(inplace=True), last)

    def forward(self, features: Tensor) -> Tensor:
        """``[..., n_in]`` -> ``[..., n_out]``"""
        return self.layers(features)

    def weights(self) -> tuple[Tensor, Tensor]:
        """First ``[n_neurons, n_in]`` and last ``[n_out, n_neurons]`` weight."""
        first, last = self.parameters()
        return first, last


class DeformationField(nn.Module):
    """Motion of a static set of Gaussians as a function of time.

    Args:
        grid_size: per scale the plane resolutions over x, y, z, t.
        n_grid_dims: features per plane.
        use_global_trans: also predict one rotation and translation of the whole model per time.
        n_neurons: width of the heads.
    """

    def __init__(
        self,
        grid_size: Sequence[Sequence[int]] = GRID_SIZE,
        n_grid_dims: int = 16,
        *,
        use_global_trans: bool = True,
        n_neurons: int = 32,
    ) -> None:
        super().__init__()
        self.use_global_trans = use_global_trans
        self.grids = KPlanes(grid_size, n_grid_dims)
        width = self.grids.out_features
        self.delta_xyz_network = Head(width, 3, n_neurons)
        self.delta_rot_network = Head(width, 4, n_neurons)
        self.delta_scaling_network = Head(width, 3, n_neurons)
        if use_global_trans:
            self.global_rot_network = Head(width, 3, n_neurons)
            self.global_trans_network = Head(width, 3, n_neurons)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by the name of their learning rate (``{name}_lr`` in the configs)."""
        groups = {
            name: list(getattr(self, name).parameters())
            for name in ("delta_xyz_network", "delta_rot_network", "delta_scaling_network")
        }
        groups["grid"] = list(self.grids.parameters())
        if self.use_global_trans:
            groups["global_trans"] = [*self.global_rot_network.parameters(), *self.global_trans_network.parameters()]
        return groups

    def forward(
        self, xyz: Tensor, times: Tensor, *, with_scale: bool = True, whole: tuple[Tensor, Tensor] | None = None
    ) -> Deformation:
        """Evaluate the field for all points and times at once.

        Args:
            xyz: ``[N, 3]`` static positions.
            times: ``[F]`` in -1..1.
            with_scale: also evaluate the scale head.
            whole: rotation and translation of the whole model; those of these points by default.
        """
        heads = [self.delta_xyz_network, self.delta_rot_network]
        if with_scale:
            heads.append(self.delta_scaling_network)
        if fused.supported(xyz):
            *offsets, mean = fused.evaluate(xyz, times, self.grids.planes(), [head.weights() for head in heads])
        else:
            features = self.grids(xyz, times)  # [N, F, D]
            offsets, mean = _offsets(heads, features), features.mean(dim=0)
        rotation, translation = whole or (None, None)
        if self.use_global_trans and whole is None:
            rotation = euler_to_matrix(torch.sigmoid(self.global_rot_network(mean)) * (2 * math.pi) - math.pi)
            translation = torch.sigmoid(self.global_trans_network(mean)) * 2 - 1
        return Deformation(offsets[0], offsets[1], offsets[2] if with_scale else None, rotation, translation)

    def deform(
        self,
        means: Tensor,
        quats: Tensor,
        log_scales: Tensor,
        times: Tensor,
        *,
        use_delta_scale: bool,
        first_frame_trainable: bool = False,
        start: tuple[Tensor, Tensor] | None = None,
        whole: tuple[Tensor, Tensor] | None = None,
        move: Move | None = None,
        objects: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The Gaussians at every time.

        Args:
            means: ``[N, 3]`` static centres.
            quats: ``[N, 4]`` static rotations w x y z, any length.
            log_scales: ``[N, 3]``
            times: ``[F]`` in -1..1; at -1 the static model comes back untouched. On the CPU, whatever the Gaussians
                are on: then nothing waits for the device.
            use_delta_scale: apply the scale offsets (refinement, or a model that was refined).
            first_frame_trainable: deform at -1 as well.
            start: centres ``[F, N, 3]`` and rotations ``[F, N, 4]`` that the offsets are added to instead of the
                static ones: a coarse motion that is known already.
            whole: rotation ``[F, 3, 3]`` and translation ``[F, 3]`` of the whole model, where these are not the
                Gaussians that they were fitted to; the mean over these by default.
            move: stands in for `move`, as `captured.Captured` of it does.
            objects: ``[N]`` numbers from 0: every object turns and moves as a whole by itself, by the mean over its
                own Gaussians; ``whole`` and ``move`` are not used then.

        Returns:
            means ``[F, N, 3]``, unit quaternions ``[F, N, 4]`` and activated scales ``[F, N, 3]``.
        """
        if objects is not None:
            how = {"use_delta_scale": use_delta_scale, "first_frame_trainable": first_frame_trainable}
            return self._deform_each(objects, (means, quats, log_scales), times, start, **how)
        still = (means, nn.functional.normalize(quats, dim=-1), log_scales.exp())
        moving = torch.ones_like(times, dtype=torch.bool) if first_frame_trainable else times > -1
        if not bool(moving.any()):
            return _repeat(still, len(times))
        everywhere = bool(moving.all())
        if not everywhere:
            start, whole = (part and (part[0][moving], part[1][moving]) for part in (start, whole))
        begin, turn = start or (means, quats), whole or (None, None)
        now = on_device(times if everywhere else times[moving], means.device)
        moved = (move or self.move)(means, *begin, log_scales, now, *turn, with_scale=use_delta_scale)
        if everywhere:
            return moved
        slot = torch.where(moving, moving.cumsum(0), 0)  # 0 is the static model, i the i-th moving time
        slot = on_device(slot, means.device)
        means_out, quats_out, scales_out = (
            torch.cat([static[None], frames]).index_select(0, slot) for static, frames in zip(still, moved, strict=True)
        )
        return means_out, quats_out, scales_out

    def _deform_each(
        self,
        objects: Tensor,
        parts: tuple[Tensor, Tensor, Tensor],
        times: Tensor,
        start: tuple[Tensor, Tensor] | None,
        **how: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`deform` of every object by itself, put back in the order of the Gaussians."""
        rows = [torch.nonzero(objects == number)[:, 0] for number in range(int(objects.max()) + 1)]
        moved = [
            self.deform(
                *(part[own] for part in parts),
                times,
                start=start and (start[0][:, own], start[1][:, own]),
                use_delta_scale=how["use_delta_scale"],
                first_frame_trainable=how["first_frame_trainable"],
            )
            for own in rows
            if len(own)
        ]
        back = torch.argsort(torch.cat(rows))
        means, quats, scales = (torch.cat(one, dim=1)[:, back] for one in zip(*moved, strict=True))
        return means, quats, scales

    def move(
        self,
        static: Tensor,
        means: Tensor,
        quats: Tensor,
        log_scales: Tensor,
        times: Tensor,
        rotation: Tensor | None = None,
        translation: Tensor | None = None,
        *,
        with_scale: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`deform` where all times move: tensors of one device, whose values decide nothing.

        Args:
            static: ``[N, 3]``, where the field is evaluated.
            means, quats: ``[N, 3 | 4]`` or ``[F, N, 3 | 4]``, which the offsets are added to.
            log_scales: ``[N, 3]``
            times: ``[F]``
            rotation, translation: of the whole model.
            with_scale: apply the scale offsets.
        """
        whole = None if rotation is None or translation is None else (rotation, translation)
        change = self(static, times, with_scale=with_scale, whole=whole)
        # Without a global rotation the offset meets the quaternion as it is stored, whatever its length.
        moved, turned = means + change.delta_xyz, quats
        if change.rotation is not None and change.translation is not None:
            moved = moved_rigidly(means, change.rotation, change.translation) + change.delta_xyz
            turned = turned_rigidly(nn.functional.normalize(quats, dim=-1), change.rotation)
        rotated = nn.functional.normalize(turned + change.delta_rot, dim=-1)
        if change.delta_scale is None:
            return moved, rotated, log_scales.exp().expand(len(times), -1, -1)
        return moved, rotated, (log_scales + change.delta_scale).exp()


def moved_rigidly(means: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """``R x + T`` for every time: ``[N, 3]`` or ``[F, N, 3]``, ``[F, 3, 3]``, ``[F, 3]`` -> ``[F, N, 3]``."""
    return means @ rotation.mT + translation[:, None]


def turned_rigidly(quats: Tensor, rotation: Tensor) -> Tensor:
    """The quaternions of ``R R_g`` for every time, with the sign the four-branch extraction from a matrix gives them.

    Of a rotation under 120 degrees (positive trace) w is positive, otherwise the largest of x, y, z is. The sign
    matters because an offset is added afterwards.

    Args:
        quats: ``[N, 4]`` or ``[F, N, 4]`` unit.
        rotation: ``[F, 3, 3]``

    Returns:
        ``[F, N, 4]``
    """
    w, x, y, z = matrix_to_quaternion(rotation).unbind(-1)
    # A product of quaternions is linear in the second: one small matrix per time for all Gaussians.
    rows = ((w, x, y, z), (-x, w, z, -y), (-y, -z, w, x), (-z, y, -x, w))
    turned = quats @ torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    with torch.no_grad():
        w, axis = turned[..., :1], turned[..., 1:]
        low, high = axis.amin(dim=-1, keepdim=True), axis.amax(dim=-1, keepdim=True)
        leading = torch.where(4 * w * w > 1, w, low + high)  # low + high has the sign of the larger magnitude
        sign = 1 - 2 * (leading < 0).to(turned.dtype)
    return turned * sign


def on_device(small: Tensor, device: torch.device) -> Tensor:
    """A few numbers of the host on a device, without waiting for what that is at."""
    return small.to(device, non_blocking=True)


def _offsets(heads: Sequence[Head], features: Tensor) -> list[Tensor]:
    """What the heads make of ``[N, F, D]``, each ``[F, N, k]``: all of them in two products."""
    firsts, lasts = zip(*(head.weights() for head in heads), strict=True)
    hidden = torch.relu(features @ torch.cat(firsts).T)
    return list((hidden @ torch.block_diag(*lasts).T).transpose(0, 1).split([len(last) for last in lasts], dim=-1))


def _repeat(parts: tuple[Tensor, Tensor, Tensor], count: int) -> tuple[Tensor, Tensor, Tensor]:
    means, quats, scales = (part.expand(count, *part.shape) for part in parts)
    return means, quats, scales
