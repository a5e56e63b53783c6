"""One motion step without rasterisation: the deformation field for all views and frames, forward and backward.

    python benchmarks/reconstruction_step.py [--gaussians 20000] [--frames 16] [--views 4] [--repeats 5]

Ours evaluates every frame once, all together; the plain loop evaluates the field again for each view and frame. Both
get the same gradients of their outputs, and their parameter gradients are compared (the difference is hidden units
at zero that rounding puts on one side or the other). Peak memory is what a fresh
process adds to its resident set during one step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import plain_motion
import torch
from torch import Tensor

from animate3d.motion import DeformationField


def seconds(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median wall-clock and processor time of ``repeats`` runs after one that warms up."""
    work()
    wall, processor = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    return statistics.median(wall), statistics.median(processor)


class Step:
    """A field with random weights, a cloud of Gaussians, and the gradients that a renderer would send back."""

    def __init__(self, gaussians: int, frames: int, views: int) -> None:
        torch.manual_seed(0)
        self.views = views
        self.field = DeformationField()
        with torch.no_grad():
            for parameter in self.field.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        self.static = (
            1.6 * torch.rand(gaussians, 3) - 0.8,
            torch.randn(gaussians, 4),
            torch.randn(gaussians, 3),
        )
        self.times = torch.linspace(-1, 1, frames)
        self.incoming = [
            torch.randn(frames, gaussians, width) for width in (3, 4)
        ]  # scales are fixed in reconstruction

    def gradients(self, outputs: list[Tensor], incoming: list[Tensor]) -> list[Tensor]:
        self.field.zero_grad()
        active = [(o, g) for o, g in zip(outputs, incoming, strict=True) if o.requires_grad]
        torch.autograd.backward([o for o, _ in active], [g for _, g in active])
        return [p.grad for p in self.field.parameters() if p.grad is not None]

    def ours(self) -> list[Tensor]:
        """Every frame once; the views' gradients arrive summed."""
        means, quats, _ = self.field.deform(*self.static, self.times, use_delta_scale=False)
        return self.gradients([means, quats], [g * self.views for g in self.incoming])

    def plain(self) -> list[Tensor]:
        """The field again for every view and frame."""
        poses = plain_motion.deform_views_and_frames(self.field, *self.static, self.times, self.views, False)
        outputs = [part for means, quats, _ in poses for part in (means, quats)]
        incoming = [part for pair in zip(*self.incoming, strict=True) for part in pair] * self.views
        return self.gradients(outputs, incoming)

    def work(self, *, plain: bool) -> tuple[float, float]:
        """GFLOP and GB of one step, forward and backward, counted from the formulas.

        A plane sample is 7 operations per channel (3 when blended in time before), the products 5; the heads are
        matrix products; a backward pass costs twice its forward, ours samples once more. Bytes: arrays that do not
        fit the cache, written and read once each way.
        """
        frames, (n, _) = len(self.times) - 1, self.static[0].shape
        channels, width = self.field.grids.features, self.field.grids.out_features
        hidden = 64
        heads = 2 * width * hidden + 2 * hidden * 7
        if plain:
            per_point = 12 * channels * 7 + 10 * channels + heads
            floats = 12 * channels + 10 * channels + width + 2 * hidden + 4 * 7
            times = self.views * frames * n
            return 3 * per_point * times / 1e9, 4 * 3 * floats * times / 1e9
        per_point = 6 * channels * 3 + 6 * channels + heads
        per_static = 6 * channels * 7
        total = n * (frames * per_point + per_static)
        return (4 * total) / 1e9, 4 * n * (3 + frames * 7 * 2) / 1e9


def peak_megabytes(variant: str, arguments: argparse.Namespace) -> float:
    """Growth of the resident set over one step, in a process of its own."""
    sizes = [f"--{name}={getattr(arguments, name)}" for name in ("gaussians", "frames", "views")]
    result = subprocess.run(
        [sys.executable, __file__, f"--peak={variant}", *sizes], capture_output=True, text=True, check=True
    )
    return float(result.stdout)


def report_peak(step: Step, variant: str) -> None:
    # A small step first, so that compiled code and libraries are loaded before the count starts.
    getattr(Step(100, 2, 1), variant)()
    before = status("VmRSS")
    getattr(step, variant)()
    print(status("VmHWM") - before)


def status(field: str) -> float:
    """Memory of this process in MB, from the kernel's account of it (getrusage would count the parent's too)."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(field))
    return int(line.split()[1]) / 1e3


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python benchmarks/reconstruction_step.py --gaussians 5000 --repeats 3",
    )
    parser.add_argument("--gaussians", type=int, default=20_000)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak", choices=("ours", "plain"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    step = Step(arguments.gaussians, arguments.frames, arguments.views)
    if arguments.peak:
        report_peak(step, arguments.peak)
        return 0

    error = max(float((a - b).norm() / b.norm()) for a, b in zip(step.ours(), step.plain(), strict=True))
    rows = {}
    for variant in ("ours", "plain"):
        wall, processor = seconds(getattr(step, variant), arguments.repeats)
        gflop, gigabytes = step.work(plain=variant == "plain")
        rows[variant] = {
            "seconds": round(wall, 4),
            "processor_seconds": round(processor, 4),
            "gflop": round(gflop, 2),
            "gigabytes": round(gigabytes, 3),
            "peak_megabytes": round(peak_megabytes(variant, arguments), 1),
        }
    ours, plain = rows["ours"], rows["plain"]
    summary = {
        "sizes": {name: getattr(arguments, name) for name in ("gaussians", "frames", "views")},
        "threads": torch.get_num_threads(),
        **rows,
        "ratio": round(plain["seconds"] / ours["seconds"], 1),
        "ratio_processor": round(plain["processor_seconds"] / ours["processor_seconds"], 1),
        "ratio_memory": round(plain["peak_megabytes"] / ours["peak_megabytes"], 1),
        "gradient_error": float(f"{error:.1e}"),
        "bar": 5,
    }
    print(json.dumps(summary, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
