"""What fitting costs on a GPU: a step of the reconstruction and of the refinement, tracking, and the start.

    python benchmarks/gpu_fit.py reconstruction_step refinement_step tracking start [--out FILE.json]

Every section runs what a user runs, through the launcher or the command. Without a GPU the sizes are tiny and only
show that the section works.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

GPU = torch.cuda.is_available()
ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "custom" / "threestudio-animate3d" / "configs"


# -- a small moving model ---------------------------------------------------------------------------------------------


def write_model(folder: Path, gaussians: int, size: int, frames: int = 16, views: int = 4) -> list[str]:
    """A waving sphere as Gaussians, edges and frames; the launcher's keys for it."""
    from animate3d.cameras import reconstruction_cameras
    from animate3d.files import write_json
    from animate3d.frames import save_frames
    from animate3d.gaussians import Gaussians, save_ply
    from animate3d.motion.arap import knn_graph
    from animate3d.rasterize import Splats, render

    turn = torch.arange(gaussians) * math.pi * (3 - math.sqrt(5))
    z = torch.linspace(-1, 1, gaussians)
    ring = (1 - z * z).clamp_min(0).sqrt()
    means = 0.6 * torch.stack([ring * turn.cos(), ring * turn.sin(), z], dim=-1)
    colors = torch.rand(gaussians, 1, 3, generator=torch.Generator().manual_seed(0))
    scale = math.log(0.6 * math.sqrt(4 / gaussians))
    model = Gaussians(
        means, colors, torch.full((gaussians,), 3.0), torch.full((gaussians, 3), scale), torch.eye(4)[0].repeat(gaussians, 1)
    )
    save_ply(model, folder / "model.ply")
    neighbours, _ = knn_graph(means, 6, 1.0)
    write_json(folder / "edges.json", {str(i): {str(j): 0.1 for j in row} for i, row in enumerate(neighbours.tolist())})
    device = torch.device("cuda" if GPU else "cpu")
    phase = torch.linspace(0, math.pi, frames)[:, None]
    moved = model.means.expand(frames, -1, -1).clone()
    moved[..., 2] += 0.15 * torch.sin(3 * moved[..., 0] + phase) - 0.15 * torch.sin(3 * model.means[:, 0])
    images = []
    for frame in moved:
        parts = (frame[None], model.quats[None], model.scales[None], model.opacities, model.colors)
        drawn = render(Splats(*(part.to(device) for part in parts)), reconstruction_cameras(views, size).to(device))
        rgba = torch.cat([drawn.color, drawn.alpha], dim=-1)[0]
        images.append((rgba.clamp(0, 1) * 255).to(torch.uint8).cpu().numpy())
    save_frames(folder / "frames", np.stack(images, axis=1))
    return [
        f"system.geometry.geometry_convert_from={folder / 'model.ply'}",
        *(f"system.geometry.load_ply_cfg.{k}={v}" for k, v in (("rot_x_degree", 0), ("rot_z_degree", 0), ("scale_factor", 1))),
        f"data.image_root={folder / 'frames'}",
        f"data.width={size}",
        f"data.height={size}",
        f"exp_root_dir={folder}",
        "tag=object",
        "system.prompt_processor.prompt=a sphere",
        "trainer.limit_val_batches=0",
    ]


class Clock:
    """Times of the steps between marked ones: the device is waited for at the marks alone."""

    def __init__(self, marks: dict[int, str]) -> None:
        self.marks, self.at, self.host = marks, {}, {}  # type: dict[int, str], dict[str, float], dict[str, float]

    def tick(self, step: int) -> None:
        if step in self.marks:
            self.host[self.marks[step]] = time.perf_counter()
            if GPU:
                torch.cuda.synchronize()
            self.at[self.marks[step]] = time.perf_counter()

    def per_step(self, first: str, last: str) -> dict[str, float]:
        steps = {name: step for step, name in self.marks.items()}
        count = steps[last] - steps[first]
        return {
            "ms": round(1e3 * (self.at[last] - self.at[first]) / count, 3),
            "host_ms": round(1e3 * (self.host[last] - self.at[first]) / count, 3),
        }


@contextmanager
def watched(clock: Clock, waits: range | None = None, profiled: range | None = None) -> Iterator[list[str]]:
    """Call the clock before every training step; in ``waits`` the calls that wait for the device are listed."""
    from animate3d.studio.plugins import load_plugins
    from animate3d.studio.registry import find

    load_plugins()
    system = find("gaussian-splatting-animate3d-system")
    before = system.on_train_batch_start
    found: list[str] = []
    state: dict[str, Any] = {}

    def hook(self: Any, batch: Any, batch_idx: int, unused: int = 0) -> None:
        clock.tick(batch_idx)
        if GPU and waits is not None and batch_idx in (waits.start, waits.stop):
            torch.cuda.set_sync_debug_mode(1 if batch_idx == waits.start else 0)
        if profiled is not None and batch_idx == profiled.start:
            kinds = [torch.profiler.ProfilerActivity.CPU] + [torch.profiler.ProfilerActivity.CUDA] * GPU
            state["profile"] = torch.profiler.profile(activities=kinds)
            state["profile"].__enter__()
        if profiled is not None and batch_idx == profiled.stop:
            state["profile"].__exit__(None, None, None)
            averages = state["profile"].key_averages()
            for order in ("self_cpu_time_total", *(["self_cuda_time_total"] * GPU)):
                print(averages.table(sort_by=order, row_limit=22, max_name_column_width=50), flush=True)
        before(self, batch, batch_idx, unused)

    def show(message: Any, category: Any, filename: str, lineno: int, *rest: Any) -> None:
        if "synchroniz" in str(message):
            found.append(f"{'/'.join(Path(filename).parts[-3:])}:{lineno}")

    shown, warnings.showwarning = warnings.showwarning, show
    system.on_train_batch_start = hook
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = show
            yield found
    finally:
        system.on_train_batch_start, warnings.showwarning = before, shown


def counted(places: list[str], steps: int) -> dict[str, float]:
    return {place: round(places.count(place) / steps, 2) for place in sorted(set(places))}


def peak() -> float | None:
    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if GPU else None


# -- sections ---------------------------------------------------------------------------------------------------------


def reconstruction_step(gaussians: int | None = None, profile: bool = False, graphs: bool | None = None) -> dict[str, Any]:
    """The documented mesh config at 256², 16 frames of 4 views: its steps of two frames, and those of all fifteen.

    ``mean`` is over the documented 800 steps: 50 of one frame, 700 of two, 50 of fifteen.
    """
    from animate3d.studio.launch import launch

    count, size = (gaussians or 5000, 256) if GPU else (gaussians or 300, 32)
    per_frame, steps = (10, 290) if GPU else (2, 46)
    marks = {30: "two", 140: "two done", 170: "all", 280: "all done"} if GPU else {6: "two", 26: "two done", 31: "all", 44: "all done"}
    result: dict[str, Any] = {"gaussians": count, "size": size}
    with tempfile.TemporaryDirectory() as temporary:
        keys = write_model(Path(temporary), count, size)
        keys += [
            f"system.connected_vertices_info_path={temporary}/edges.json",
            f"trainer.max_steps={steps}",
            f"system.progressive_iter_per_frame={per_frame}",
            "checkpoint.every_n_train_steps=100000",
        ]
        for name, extra in (("graphs", []), ("eager", ["system.cuda_graphs=false"]), ("old", [])):
            if name == "old" or (graphs is not None and graphs != (name == "graphs")) or (name == "eager" and not GPU):
                continue
            if GPU:
                torch.cuda.reset_peak_memory_stats()
            clock = Clock(marks)
            first = min(marks)
            with watched(clock, range(first + 1, first + 6), range(first + 8, first + 12) if profile else None) as waits:
                started = time.perf_counter()
                launch(CONFIGS / "mesh_animation_frame_16.yaml", [*keys, f"name={name}", *extra], "train")
                whole = time.perf_counter() - started
            two, every = clock.per_step("two", "two done"), clock.per_step("all", "all done")
            result[name] = {
                "two_frames": two,
                "fifteen_frames": every,
                "mean_ms": round((750 * two["ms"] + 50 * every["ms"]) / 800, 2),
                "peak_gib": peak(),
                "run_s": round(whole, 1),
                "waits_per_step": counted(waits, 5),
            }
    return result


def main(argv: list[str] | None = None) -> int:
    sections: dict[str, Callable[[], dict[str, Any]]] = {"reconstruction_step": reconstruction_step}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="+", choices=sections)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(argv)
    results = {"device": torch.cuda.get_device_name(0) if GPU else "cpu", "torch": torch.__version__}
    for name in options.sections:
        started = time.perf_counter()
        results[name] = sections[name]()
        results[name]["seconds"] = round(time.perf_counter() - started, 1)
        print(name, json.dumps(results[name], indent=1), flush=True)
        if options.out:
            options.out.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
