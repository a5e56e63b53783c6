"""Videos longer than the model's own: windows of its length over the frames, blended at every denoising step.

Frame 0, the condition image, is the first frame of every window. How the other frames fill a window depends on how a
motion goes on behind the model's last frame:

- ``free``: a window is a stretch of the video (FreeNoise). For models that do not tie a frame to its number.
- ``cycle``: the frame after the model's last one is frame 0 again, and every frame keeps its place in the cycle: frame
  L+1 stands where frame 1 does. A window has one frame for every place, those nearest to its middle.
- ``return``: as a cycle, but the way back leads through the same places: L-1, L-2, …, 0, 1.

The noise is shared: later frames have that of the first ones, shuffled within short stretches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Generator, Tensor

from animate3d.errors import InputError

Continuation: TypeAlias = Literal["free", "cycle", "return"]
WeightingScheme: TypeAlias = Literal["flat", "pyramid"]
_CLOSED = 1.5
"""A video whose last frame is as near to its first as this many of its largest steps is a cycle."""


@dataclass(frozen=True)
class Windows:
    """Windows over frames 1 and later of a video of F frames.

    Attributes:
        frames: ``[W, L-1]`` frames, in the order in which the model sees them behind frame 0.
        weights: ``[W, L-1]`` of what the model says of them; those of a frame sum to 1.
        copies: ``[S]`` frames that show frame 0 again, which no window has.
        places: ``[F]`` where each frame stands in the model's video; with ``free`` the frame whose noise it shares.
        stretch: the noise of later frames is shuffled among so many neighbours.
    """

    frames: Tensor
    weights: Tensor
    copies: Tensor
    places: Tensor
    stretch: int

    def blend(self, predict: Callable[[Tensor], Sequence[Tensor]]) -> list[Tensor]:
        """What the model says of the windows, mixed to the whole: of frames 1 and later, zero for ``copies``.

        Args:
            predict: given the frames ``[L-1]`` of a window, returns tensors with as many frames on axis 2.
        """
        wholes: list[Tensor] = []
        for frames, weights in zip(self.frames, self.weights, strict=True):
            parts = predict(frames)
            if not wholes:
                count = len(self.places) - 1
                wholes = [torch.zeros(*p.shape[:2], count, *p.shape[3:], device=p.device) for p in parts]
            for whole, part in zip(wholes, parts, strict=True):
                shares = weights.to(part.device).view(-1, *[1] * (part.ndim - 3))
                whole.index_add_(2, (frames - 1).to(part.device), part.float() * shares)
        return [whole.to(part.dtype) for whole, part in zip(wholes, parts, strict=True)]

    def share(self, noise: Tensor, generators: Sequence[Generator] | None) -> Tensor:
        """Noise of frames 1 and later ``[N, c, F-1, h, w]`` from that of the model's own length ``[N, c, L-1, h, w]``.

        Args:
            generators: one for all rows, or one per object; None for the global one.
        """
        groups: Sequence[Generator | None] = generators or [None]
        rows = noise.chunk(len(groups))
        return torch.cat([part[:, :, self._shuffled(g)] for part, g in zip(rows, groups, strict=True)])

    def _shuffled(self, generator: Generator | None) -> Tensor:
        """Which noise every frame takes ``[F-1]``; 0 is that of frame 1."""
        length = self.frames.shape[1]
        taken = (self.places[1:] - 1).clamp_min(0)
        for start in range(length, len(taken), self.stretch):
            block = taken[start : start + self.stretch]
            order = torch.randperm(len(block), generator=generator, device=generator.device if generator else None)
            taken[start : start + self.stretch] = block[order.cpu()]
        return taken


def plan_windows(
    frames: int, length: int, stride: int, scheme: WeightingScheme = "pyramid", continuation: Continuation = "free"
) -> Windows:
    """Windows of ``length`` frames, ``stride`` frames apart.

    Args:
        frames: F, more than ``length``.
        length: L, frames that the model sees at once, frame 0 included.
        stride: 1 to L-1.
        scheme: "flat": all windows of a frame count alike; "pyramid": the more the nearer their middle is.

    Raises:
        InputError: a value that makes no windows.
    """
    if length < 3:
        raise InputError(f"`context_length` is {length}; a window needs at least 3 frames.")
    if not 1 <= stride < length:
        raise InputError(f"`context_stride` is {stride}; windows of {length} frames overlap at 1 to {length - 1}.")
    for value, known in ((scheme, WeightingScheme), (continuation, Continuation)):
        if value not in get_args(known):
            raise InputError(f"`{value}` is unknown for windows; known are {', '.join(get_args(known))}.")
    if continuation == "free":
        places, windows = _stretches(frames, length, stride)
    else:
        places, windows = _laps(frames, length, stride, back=continuation == "return")
    distances = torch.stack([(chosen - middle).abs() for middle, chosen in windows])
    chosen = torch.stack([chosen for _, chosen in windows])
    heights = distances.max(dim=1, keepdim=True).values + 1 - distances if scheme == "pyramid" else distances * 0 + 1
    sums = torch.zeros(frames).index_add_(0, chosen.flatten(), heights.flatten())
    copies = torch.where(places[1:] == 0)[0] + 1
    return Windows(chosen, heights / sums[chosen], copies, places, stride)


_Window: TypeAlias = tuple[float, Tensor]  # its middle, and its frames in the order of the model


def _stretches(frames: int, length: int, stride: int) -> tuple[Tensor, list[_Window]]:
    starts = [*range(1, frames - length + 1, stride), frames - length + 1]
    windows = [(start + length / 2 - 1, torch.arange(start, start + length - 1)) for start in starts]
    numbers = torch.arange(frames)
    return torch.where(numbers == 0, 0, (numbers - 1) % (length - 1) + 1), windows


def _laps(frames: int, length: int, stride: int, *, back: bool) -> tuple[Tensor, list[_Window]]:
    """Every frame has a place, and a window for every place the frame nearest to its middle."""
    numbers = torch.arange(frames)
    period = 2 * (length - 1) if back else length
    places = numbers % period
    places = torch.where(places < length, places, period - places)
    standing = [torch.where(places == place)[0] for place in range(1, length)]

    def window(middle: float) -> _Window:
        return middle, torch.stack([frames[(frames - middle).abs().argmin()] for frames in standing])

    windows = [window(float(middle)) for middle in range(length // 2, frames, stride)]
    missed = set(torch.where(places > 0)[0].tolist()) - {frame for _, chosen in windows for frame in chosen.tolist()}
    return places, windows + [window(float(middle)) for middle in sorted(missed)]


def continuation_of(video: Tensor, *, numbered: bool) -> Continuation:
    """How a motion goes on behind the end of a video of the model's own length ``[N, c, L, h, w]``.

    A model to which frames are ``numbered`` always shows the same at a frame.
    """
    if not numbered:
        return "free"
    steps = video.float().diff(dim=2).abs().mean(dim=(0, 1, 3, 4))
    wrap = (video[:, :, -1] - video[:, :, 0]).float().abs().mean()
    return "cycle" if wrap <= _CLOSED * steps.max() else "return"
