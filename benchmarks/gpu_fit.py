"""What fitting costs on a GPU: a step of the reconstruction and of the refinement, tracking, and the start.

    python benchmarks/gpu_fit.py reconstruction_step refinement_step tracking start [--out FILE.json]

Every section runs what a user runs, through the launcher or the command. Without a GPU the sizes are tiny and only
show that the section works. `gpu.py` runs all of them beside its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from gpu_fit_setup import CONFIGS, Clock, counted, last_loss, watched, write_full_model, write_model  # noqa: E402
from gpu_measure import DEVICE, GPU, HALF, TINY, Skipped, device_name, fresh_memory, moment, peak_gib  # noqa: E402

from animate3d.progress import LISTENED  # noqa: E402

# -- sections ---------------------------------------------------------------------------------------------------------


def reconstruction_step(gaussians: int | None = None, profile: bool = False, graphs: bool = False) -> dict[str, Any]:
    """The documented mesh config at 256², 16 frames of 4 views: its steps of two frames, and those of all fifteen.

    ``mean`` is over the documented 800 steps: 50 of one frame, 700 of two, 50 of fifteen.
    """
    from animate3d.studio.launch import launch

    count, size = (gaussians or 5000, 256) if not TINY else (gaussians or 300, 32)
    per_frame, steps = (2, 46) if TINY else (10, 290)
    marks = (
        {6: "two", 26: "two done", 31: "all", 44: "all done"}
        if TINY
        else {30: "two", 140: "two done", 170: "all", 280: "all done"}
    )
    result: dict[str, Any] = {"gaussians": count, "size": size}
    with tempfile.TemporaryDirectory() as temporary:
        keys = write_model(Path(temporary), count, size)
        keys += [
            f"system.connected_vertices_info_path={temporary}/edges.json",
            f"trainer.max_steps={steps}",
            f"system.progressive_iter_per_frame={per_frame}",
            "checkpoint.every_n_train_steps=100000",
        ]
        variants: list[tuple[str, list[str]]] = [("graphs", [])]
        if GPU and not graphs:
            variants.append(("eager", ["system.cuda_graphs=false"]))
        for name, extra in variants:
            fresh_memory()
            clock = Clock(marks)
            with watched(clock, range(160, 165), range(142, 146) if profile and name == "graphs" else None) as waits:
                started = time.perf_counter()
                launch(CONFIGS / "mesh_animation_frame_16.yaml", [*keys, f"name={name}", *extra], "train")
                whole = time.perf_counter() - started
            two, every = clock.per_step("two", "two done"), clock.per_step("all", "all done")
            result[name] = {
                "two_frames": two,
                "fifteen_frames": every,
                "mean_ms": round((750 * two["ms"] + 50 * every["ms"]) / 800, 2),
                "peak_gib": peak_gib(),
                "run_s": round(whole, 1),
                "waits_per_step": counted(waits, 5),
                "loss_at_end": last_loss(Path(temporary) / name),
            }
    graphs_row, eager = result["graphs"], result.get("eager", {})
    row = f"{graphs_row['mean_ms']} ms, {graphs_row['peak_gib']} GiB ({eager.get('mean_ms', '?')} ms without graphs)"
    result["rows"] = {"reconstruction step, 5000 Gaussians": row}
    return result


def refinement_step(model: Path | None = None, limit_gib: float | None = None) -> dict[str, Any]:
    """The documented refinement: targets of 1024², the model of full size; its step, and its parts one by one.

    ``limit_gib`` caps the memory of this process, as a smaller card would.
    """
    from animate3d.studio.launch import launch

    if GPU:
        if limit_gib:
            torch.cuda.set_per_process_memory_fraction(
                limit_gib * 2**30 / torch.cuda.get_device_properties(0).total_memory
            )
        fresh_memory()
    result: dict[str, Any] = {"limit_gib": limit_gib}
    steps, marks = (3, {1: "first", 2: "last"}) if TINY else (16, {4: "first", 15: "last"})
    with tempfile.TemporaryDirectory() as temporary:
        folder = model or Path(temporary) / "video_model"
        if model is None:
            write_full_model(folder)
        keys = write_model(Path(temporary), 300 if TINY else 5000, 32 if TINY else 1024)
        keys += [f"system.{part}.pretrained_model_name_or_path={folder}" for part in ("guidance", "prompt_processor")]
        keys += [f"trainer.max_steps={steps}", "checkpoint.every_n_train_steps=100000", "name=refine"]
        if TINY:
            keys += ["data.random_camera.width=16", "data.random_camera.height=16"]
        clock = Clock(marks)
        with watched(clock) as _, partial_times() as parts:
            launch(CONFIGS / "refine_frame_16.yaml", keys, "train")
        result["step"] = clock.per_step("first", "last")
        result["parts_ms"] = {name: round(statistics.median(times[2:] or times), 1) for name, times in parts.items()}
        result |= {"peak_gib": peak_gib(), "peak_reserved_gib": peak_gib(reserved=True)}
    row = f"{result['step']['ms']:.0f} ms, {result['peak_gib']} GiB"
    result["rows"] = {"refinement step, targets of 1024²": row}
    return result


@contextmanager
def partial_times() -> Iterator[dict[str, list[float]]]:
    """What the parts of a refinement step take, each with a wait for the device on both sides (every third call)."""
    from animate3d.mvvdm import guidance

    cls: Any = guidance.VideoGuidance
    times: dict[str, list[float]] = {}
    before = {name: getattr(cls, name) for name in ("conditions", "encode", "predictor")}

    def timed(name: str, function: Any) -> Any:
        calls = [0]

        def run(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            if TINY or calls[0] in (3, 4):  # not among the steps that are timed as a whole
                started = moment()
                out = function(*args, **kwargs)
                times.setdefault(name, []).append(1e3 * (moment() - started))
                return out
            return function(*args, **kwargs)

        return run

    cls.conditions, cls.encode = timed("conditions", before["conditions"]), timed("encode_forward", before["encode"])
    counted_predict = timed("unet", lambda predict, *args: predict(*args))
    cls.predictor = lambda self, conditions: lambda *args: counted_predict(before["predictor"](self, conditions), *args)
    try:
        yield times
    finally:
        for name, function in before.items():
            setattr(cls, name, function)


def random_autoencoder(widths: tuple[int, ...]) -> Any:
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    levels = len(widths)
    vae = AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=2,
        norm_num_groups=4 if TINY else 32,
    )
    return vae.requires_grad_(False).eval()


def encoder(images: int | None = None) -> dict[str, Any]:
    """The encoder's forward and backward pass of a refinement step: diffusers' with recomputation, and ours."""
    from torch.utils.checkpoint import checkpoint

    from animate3d.mvvdm.model import encoder as ours

    count, size = (2, 32) if TINY else (images or 64, 256)
    widths = (8, 16) if TINY else (128, 256, 512, 512)
    with torch.device(DEVICE):
        vae = random_autoencoder(widths).to(HALF)
        pixels = torch.rand(count, 3, size, size)

    def plain(part: torch.Tensor) -> torch.Tensor:
        return vae.encode(part).latent_dist.parameters

    def step(function: Callable[[torch.Tensor], torch.Tensor], at_once: int) -> torch.Tensor:
        leaf = pixels.clone().requires_grad_()
        out = torch.cat([function((2 * part - 1).to(HALF)) for part in leaf.split(at_once)])
        (gradient,) = torch.autograd.grad(out.float().square().sum() * 1e-3, leaf)
        return gradient

    result: dict[str, Any] = {}
    truth: torch.Tensor | None = None
    variants: list[tuple[str, Callable[[torch.Tensor], torch.Tensor], int]] = [
        ("diffusers, 8 at once, computed twice", lambda part: checkpoint(plain, part, use_reentrant=False), 8)
    ]
    for again in range(0, len(widths) + 1, 2):
        variants.append(
            (f"ours, 16 at once, {again} levels twice", lambda part, n=again: ours.moments(vae, part, n), 16)
        )
    variants.append(("ours, 32 at once, 2 levels twice", lambda part: ours.moments(vae, part, 2), 32))
    for name, function, at_once in variants:
        if name.startswith("ours"):
            vae.to(memory_format=torch.channels_last)
        fresh_memory()
        held = peak_gib()
        try:
            gradient = step(function, at_once).float()
            times = []
            for _ in range(3):
                started = moment()
                step(function, at_once)
                times.append(1e3 * (moment() - started))
            truth = gradient if truth is None else truth
            result[name] = {
                "ms": round(statistics.median(times), 1),
                "peak_gib": round(peak_gib() - held, 2),
                "gradient_difference": float(f"{float((gradient - truth).norm() / truth.norm()):.1e}"),
            }
        except Exception as error:  # the other variants are still worth knowing
            result[name] = repr(error)[-300:]
    used = result[variants[2][0]]
    if isinstance(used, dict):
        row = f"{used['ms']:.0f} ms, {used['peak_gib']} GiB"
        result["rows"] = {"refinement's encoder with gradient, 64 images of 256²": row}
    return result


def tracking(data: Path | None = None) -> dict[str, Any]:
    """`animate --frames` of the dragon as a command: the first run compiles, the second is what a user waits for."""
    with tempfile.TemporaryDirectory() as temporary:
        motion, result = "bend", {}  # type: str, dict[str, Any]
        if data is None:
            data, started = Path(temporary) / "data", time.perf_counter()
            make = [sys.executable, "-m", "animate3d.creatures.dragon", "--out", str(data), "--motions", motion]
            _command([*make, *(("--frames", "2", "--size", "64") if TINY else ())])
            result["dragon_s"] = round(time.perf_counter() - started, 1)
        command = [sys.executable, "-m", "animate3d.cli", "animate", str(data / "little_dragon")]
        command += ["--frames", str(data / "frames" / motion), "--formats", "glb"]
        command += ["--placement", str(data / "placement.json")]
        for name in ("first",) if TINY else ("first", "second"):
            out = Path(temporary) / name
            started = time.perf_counter()
            begun = [seconds for seconds, line in _command([*command, "--out", str(out)]) if line.endswith("…")]
            steps = json.loads((out / "run.json").read_text()).get("steps", {})
            items = steps.items() if isinstance(steps, dict) else ((step.get("name"), step) for step in steps)
            result[name] = {
                "s": round(time.perf_counter() - started, 2),
                "first_step_begins_s": begun[0] if begun else None,
                "steps": {key: [round(value.get(k, 0), 2) for k in ("seconds", "cpu_seconds")] for key, value in items},
            }
    last = result[name]
    tracked = last["steps"].get("5 tracking", ["?"])[0]
    result["rows"] = {
        "`animate --frames`, dragon": f"{last['s']} s, of it tracking {tracked} s",
        "… from the command to its first step": f"{last['first_step_begins_s']} s",
    }
    return result


def prompt_to_glb() -> dict[str, Any]:
    """`animate --prompt` of the dragon as a command, with a model of full size: from the sentence to the file."""
    with tempfile.TemporaryDirectory() as temporary:
        weights, data, out = (Path(temporary) / name for name in ("weights", "data", "out"))
        write_full_model(weights)
        _command([sys.executable, "-m", "animate3d.creatures.dragon", "--out", str(data), "--motions", "bend"])
        command = [sys.executable, "-m", "animate3d.cli", "animate", str(data / "little_dragon"), "--formats", "glb"]
        command += ["--prompt", "a dragon is roaring", "--weights", str(weights), "--out", str(out)]
        command += ["--placement", str(data / "placement.json")]
        command += ["--steps", "1", "--freeinit-num-iters", "0", "--frame-count", "2", "--size", "64"] if TINY else []
        started = time.perf_counter()
        try:
            _command(command)
            failed = None
        except RuntimeError as error:  # random weights show no object; what was done until then is measured
            failed = str(error)[-300:]
        whole = round(time.perf_counter() - started, 1)
        steps = json.loads((out / "run.json").read_text()).get("steps", {})
        seconds = {name: round(step.get("seconds", 0), 1) for name, step in steps.items()}
    row = f"{whole} s{' until it stopped' if failed else ''}, of it {seconds}"
    return {"rows": {"prompt to GLB, full size, random weights": row}, "failed": failed, "steps": seconds}


def _command(words: list[str], until: str | None = None) -> list[tuple[float, str]]:
    """Run a command; the lines it printed, with the seconds when.

    Args:
        until: end it at the first line that ends so.

    Raises:
        Skipped: it needs what this machine lacks.
    """
    started, said = time.perf_counter(), []  # type: float, list[tuple[float, str]]
    environment = {**os.environ, LISTENED: "lines"}
    running = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=ROOT
    )
    for line in cast(IO[str], running.stdout):
        said.append((round(time.perf_counter() - started, 2), line.rstrip()))
        if until is not None and said[-1][1].endswith(until):
            running.kill()
            running.wait()
            return said
    if running.wait():
        text = "\n".join(line for _, line in said)
        if lacks := re.search(r"No module named '?[\w.]+|needs the package `\w+`|No ffmpeg exe could be found", text):
            raise Skipped(lacks[0])
        raise RuntimeError(text[-800:])
    return said


def start() -> dict[str, Any]:
    """Seconds from the command to its first step, and what the imports of the parts take."""
    result: dict[str, Any] = {}
    for name in (
        "torch",
        "animate3d.cli",
        "animate3d.runs.requested",
        "animate3d.mvvdm.pipeline",
        "animate3d.studio.launch",
    ):
        code = f"import sys, time; t = time.time(); import {name}; print(time.time() - t, len(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
        last = done.stdout.split()
        result[name] = {"s": round(float(last[0]), 2), "modules": int(last[1])} if last else done.stderr[-300:]
    with tempfile.TemporaryDirectory() as temporary:
        model = Path(temporary) / "model.obj"
        model.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 3 4\nf 1 2 4\nf 2 3 4\n")
        command = [sys.executable, "-m", "animate3d.cli", "animate", str(model), "--prompt", "it hops"]
        times = []
        for run in range(1 if TINY else 3):
            said = _command([*command, "--out", str(Path(temporary) / str(run))], until="…")
            times.append(said[-1][0])
    result["first_step_begins_s"] = times
    result["rows"] = {"`animate --prompt`: from the command to its first step": f"{statistics.median(times)} s"}
    return result


def cuda_tests() -> dict[str, Any]:
    """The tests marked `cuda`: rasteriser, field, ARAP energy, videos and guidance with the CPU's numbers."""
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "--no-header", "-rf", "--tb=short"]
    command += ["--continue-on-collection-errors", "-p", "no:benchmark", "-p", "no:xdist", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return {"rows": {"tests marked `cuda`": lines[-1] if lines else done.stderr[-300:]}, "output": lines[-120:]}


SECTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "reconstruction_step": reconstruction_step,
    "profile": lambda: reconstruction_step(profile=True),
    "encoder": encoder,
    "refinement_step": refinement_step,
    "tracking": tracking,
    "prompt_to_glb": prompt_to_glb,
    "start": start,
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="+", choices=SECTIONS)
    parser.add_argument("--out", type=Path, help="JSON file of the results, written after every section")
    options = parser.parse_args(argv)
    results: dict[str, Any] = {"device": device_name(), "torch": torch.__version__}
    for name in options.sections:
        started = time.perf_counter()
        try:
            results[name] = SECTIONS[name]()
        except Skipped as reason:
            results[name] = {"skipped": str(reason)}
        except Exception:  # the other sections are still worth their time
            results[name] = {"error": traceback.format_exc()[-3000:]}
        results[name]["seconds"] = round(time.perf_counter() - started, 1)
        print(name, json.dumps(results[name], indent=1), flush=True)
        if options.out:
            options.out.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
