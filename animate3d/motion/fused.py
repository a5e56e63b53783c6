"""The deformation field on the CPU in one pass over the points, without intermediate results in memory.

Written with autograd operations, the features of all planes and the hidden layers of the heads (some 200 numbers per
point and time) go to memory and back several times. `kernels` keeps a point in the cache from planes to offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from animate3d.motion import kernels
from animate3d.motion.kplanes import PLANE_AXES, linear_weights
from animate3d.motion.threads import piece_count, run_pieces

SPACE = tuple(index for index, (_, j) in enumerate(PLANE_AXES) if j < 3)
TIME = tuple(index for index, (_, j) in enumerate(PLANE_AXES) if j == 3)


def supported(xyz: Tensor) -> bool:
    """Whether `evaluate` can stand in for autograd: on the CPU, with positions that take no gradient."""
    return xyz.device.type == "cpu" and not xyz.requires_grad and xyz.dtype in (torch.float32, torch.float64)


def evaluate(
    xyz: Tensor, times: Tensor, grids: Sequence[Sequence[Tensor]], heads: Sequence[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Outputs of the heads, and the mean feature.

    Args:
        xyz: ``[N, 3]``
        times: ``[F]``
        grids: the six planes of every scale.
        heads: first ``[H, D]`` and last ``[k, H]`` weight of the heads for position, rotation and (optional) scale.

    Returns:
        offsets ``[F, N, 3]``, ``[F, N, 4]``, ``[F, N, 3]`` (``[F, N, 0]`` without the third head) and the mean of the
        features over the points, ``[F, D]``.
    """
    planes = [plane for scale in grids for plane in scale]
    weights = [weight for head in heads for weight in head]
    return _Evaluate.apply(xyz, times, len(grids), *planes, *weights)  # type: ignore[no-untyped-call]


class _Packed:
    """Planes and heads as `kernels` takes them."""

    def __init__(self, times: Tensor, n_scales: int, parameters: Sequence[Tensor]) -> None:
        planes, weights = parameters[: 6 * n_scales], parameters[6 * n_scales :]
        self.channels = planes[0].shape[1]
        pieces: list[Tensor] = []
        layout: list[tuple[int, int]] = []
        self.blends: list[Tensor] = []
        offset = 0
        for scale in range(n_scales):
            six = planes[6 * scale : 6 * scale + 6]
            self.blends += [linear_weights(times, six[i].shape[2]) for i in TIME]
            parts = [six[i][0].permute(1, 2, 0) for i in SPACE]  # [rows, columns, C]
            parts += [
                torch.einsum("ft,ctr->rfc", blend, six[i][0]) for i, blend in zip(TIME, self.blends[-3:], strict=True)
            ]  # [R, F, C]
            columns = [six[i].shape[3] for i in (*SPACE, *TIME)]
            for part, width in zip(parts, columns, strict=True):
                layout.append((offset, width))
                pieces.append(part)
                offset += part.numel()
        self.shapes = [piece.shape for piece in pieces]
        self.buffer = torch.cat([piece.reshape(-1) for piece in pieces])
        self.layout = np.array(layout, dtype=np.int64).reshape(n_scales, 6, 2)
        self.neurons = [weight.shape[0] for weight in weights[::2]]
        self.widths = [weight.shape[0] for weight in weights[1::2]]
        self.first = torch.cat(list(weights[::2])).T.contiguous()  # [D, H]
        self.last = torch.block_diag(*weights[1::2])  # [K, H]

    def arguments(self) -> tuple[np.ndarray, np.ndarray, int, np.ndarray, np.ndarray]:
        return self.buffer.numpy(), self.layout, self.channels, self.first.numpy(), self.last.numpy()

    def plane_gradients(self, g_buffer: Tensor) -> list[Tensor]:
        """Gradient of the buffer -> gradients of the planes, in their own order and layout."""
        pieces = [
            piece.view(shape)
            for piece, shape in zip(g_buffer.split([s.numel() for s in self.shapes]), self.shapes, strict=True)
        ]
        gradients: list[Tensor] = []
        for scale in range(len(self.layout)):
            space, moving = pieces[6 * scale : 6 * scale + 3], pieces[6 * scale + 3 : 6 * scale + 6]
            blends = self.blends[3 * scale : 3 * scale + 3]
            six = dict(zip(SPACE, [g.permute(2, 0, 1) for g in space], strict=True))
            for i, g, blend in zip(TIME, moving, blends, strict=True):
                six[i] = torch.einsum("ft,rfc->ctr", blend, g)
            gradients += [six[i][None] for i in range(6)]
        return gradients

    def weight_gradients(self, g_first: Tensor, g_last: Tensor) -> list[Tensor]:
        """Gradients of the stacked heads ``[D, H]``, ``[K, H]`` -> those of the first and last weight of each."""
        gradients: list[Tensor] = []
        row = column = 0
        for neurons, width in zip(self.neurons, self.widths, strict=True):
            gradients.append(g_first[:, column : column + neurons].T)
            gradients.append(g_last[row : row + width, column : column + neurons])
            row, column = row + width, column + neurons
        return gradients


class _Evaluate(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx: Any, xyz: Tensor, times: Tensor, n_scales: int, *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(xyz, times, *parameters)
        ctx.n_scales = n_scales
        packed = _Packed(times, n_scales, parameters)
        widths = (*packed.widths, 0)[:3]
        outputs = [xyz.new_empty(len(times), len(xyz), width) for width in widths]
        fixed = (xyz.contiguous().numpy(), *packed.arguments(), *(output.numpy() for output in outputs))
        sums = xyz.new_zeros(piece_count(), len(times), len(packed.first))
        run_pieces(lambda start, stop, piece: kernels.forward(start, stop, *fixed, sums[piece].numpy()), len(xyz))
        return *outputs, sums.sum(dim=0) / len(xyz)

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(  # type: ignore[override]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        xyz, times, *parameters = ctx.saved_tensors
        packed = _Packed(times, ctx.n_scales, parameters)
        incoming = [gradient.contiguous().numpy() for gradient in (*gradients[:3], gradients[3] / len(xyz))]
        fixed = (xyz.contiguous().numpy(), *packed.arguments(), *incoming)
        totals = [xyz.new_zeros(piece_count(), *like.shape) for like in (packed.buffer, packed.first, packed.last)]
        run_pieces(
            lambda start, stop, piece: kernels.backward(start, stop, *fixed, *(t[piece].numpy() for t in totals)),
            len(xyz),
        )
        g_buffer, g_first, g_last = (total.sum(dim=0) for total in totals)
        return None, None, None, *packed.plane_gradients(g_buffer), *packed.weight_gradients(g_first, g_last)
