"""What the project reaches on a CUDA GPU: correctness first, then times, memory and shares of the card's own ceilings.

    python benchmarks/gpu.py [SECTION ...] [--budget SECONDS] [--out FILE.json]
    python benchmarks/gpu.py --tiny --device cpu        # only shows that the sections work

A process of its own runs the sections one after the other. What one meets does not stop the next, not even when it
takes the process or the GPU with it, or hangs; what does not fit into the budget is left out, and what needs a package
that is not there is skipped. The table shows every figure beside the last one that docs/gpu.md keeps. Nothing is
downloaded: weights are random, of full size.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from gpu_measure import DEVICE_VARIABLE, TINY_VARIABLE, Skipped  # noqa: E402

WARMERS = 6
PATIENCE = 4.0
"""A section that takes so many times its estimate, and half a minute, is ended."""
LOST = 3
"""Exit code of a process that has lost its GPU."""
Section = Callable[[], dict[str, Any]]
USUAL = {
    "ceilings": ("gpu_measure", 2),
    "raster_parity": ("gpu_raster", 3),
    "raster_speed": ("gpu_raster", 6),
    "unet": ("gpu_video", 25),
    "unet_int8": ("gpu_video", 5),
    "sampling": ("gpu_sampling", 18),
    "low_memory": ("gpu_sampling", 16),
    "refinement_step": ("gpu_fit", 40),
    "reconstruction_step": ("gpu_fit", 22),
    "tracking": ("gpu_fit", 45),
    "training": ("gpu_training", 22),
    "start": ("gpu_fit", 22),
}
"""Sections by name: the module that has the function, and seconds on an H100."""
ASKED_FOR = {
    "unet_compiled": ("gpu_video", 120),
    "unet_variants": ("gpu_video", 8),
    "attention": ("gpu_shapes", 5),
    "encoder": ("gpu_fit", 10),
    "training_compiled": ("gpu_training", 90),
    "prompt_to_glb": ("gpu_fit", 60),
    "cuda_tests": ("gpu_fit", 60),
}
"""Sections that run only when they are named."""
SECTIONS = {**USUAL, **ASKED_FOR}


def kept_column() -> dict[str, str]:
    """The last figures of docs/gpu.md by the name of their row."""
    page = ROOT / "docs" / "gpu.md"
    cells = [line.strip().strip("|").split("|") for line in page.read_text().splitlines() if line.startswith("|")]
    return {row[0].strip(): row[-1].strip() for row in cells if len(row) >= 3}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python benchmarks/gpu.py ceilings unet --budget 60",
    )
    names = f"any of {', '.join(USUAL)} (these by default), {', '.join(ASKED_FOR)}"
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=names)
    parser.add_argument("--budget", type=float, default=240, help="seconds, all sections together (default 240)")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="all figures as JSON")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, whose figures mean nothing")
    for hidden in ("--warm", "--until"):
        parser.add_argument(hidden, type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.warm is not None:
        import gpu_video

        gpu_video.warm_kernels(int(options.warm), WARMERS)
        return 0
    if options.until is not None:
        return run(options.sections, options.until, options.out)
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {unknown[0]}; there are {', '.join(SECTIONS)}")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no CUDA GPU here; --tiny --device cpu shows whether the sections work")
    if options.device == "cpu" and not options.tiny:
        parser.error("on the CPU there is only --tiny")
    os.environ |= {DEVICE_VARIABLE: options.device, TINY_VARIABLE: "1" if options.tiny else ""}
    return supervise(options.sections or list(USUAL), options.budget, options.out.absolute())


# -- the process that looks after the sections ------------------------------------------------------------------------


def supervise(chosen: list[str], budget: float, out: Path) -> int:
    """Run sections in a process, in a new one where it ends early; print the table; 1 if a section failed."""
    began = time.time()
    out.unlink(missing_ok=True)
    left = chosen
    while left:
        words = [sys.executable, __file__, *left, "--until", str(began + budget), "--out", str(out)]
        ended = watch(subprocess.Popen(words, cwd=ROOT), out)
        state = read(out)
        running = state.pop("running", None)
        if running is None:
            if ended not in (0, LOST):  # it did not even begin
                print(f"the process of the sections ended with {ended}", flush=True)
                return 1
        else:
            state[running["section"]] = {"error": f"the process ended with {ended} after {running['section']} began"}
            write(out, state)
        left = [name for name in left if name not in state and name not in state.get("left_out", ())]
    state = read(out)
    print(table(state, chosen, time.time() - began), flush=True)
    return int(any("error" in state.get(name, {}) for name in chosen))


def watch(process: subprocess.Popen[bytes], out: Path) -> int:
    """Wait for the sections; end a process of which one hangs."""
    while process.poll() is None:
        time.sleep(0.5)
        running = read(out).get("running")
        if running is None:
            continue
        patience = PATIENCE * SECTIONS[running["section"]][1] + 30
        if time.time() - running["since"] > patience * (10 if os.environ.get(TINY_VARIABLE) else 1):
            process.kill()  # a compiler on the CPU takes longer than one for the GPU
    return process.wait()


def read(out: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(out.read_text()))
    except (OSError, ValueError):
        return {}


def write(out: Path, state: dict[str, Any]) -> None:
    part = out.with_suffix(".part")
    part.write_text(json.dumps(state, indent=1, default=str))
    part.replace(out)


def table(state: dict[str, Any], chosen: list[str], seconds: float) -> str:
    """All rows beside the figures that docs/gpu.md keeps, and what there is no row of."""
    kept, lines = kept_column(), ["| what | last | now |", "|---|---|---|"]
    for name in chosen:
        found = state.get(name, {})
        for row, value in found.get("rows", {}).items():
            lines.append(f"| {row} | {kept.get(row, '')} | {value} |")
        for word in ("skipped", "error"):
            if word in found:
                lines.append(f"| {name} | | {word}: {str(found[word]).strip().splitlines()[-1]} |")
    left = f"; left out: {', '.join(state['left_out'])}" if state.get("left_out") else ""
    return "\n".join([f"\n{state.get('device')}, torch {state.get('torch')}, {seconds:.0f} s{left}", *lines])


# -- the process of the sections --------------------------------------------------------------------------------------


def run(names: list[str], until: float, out: Path) -> int:
    """Run sections one after the other and write what is found after each."""
    import gpu_measure
    import gpu_video

    warmers = []
    if gpu_measure.GPU and not gpu_measure.TINY:
        command = [sys.executable, __file__, "--warm"]
        warmers = [subprocess.Popen([*command, str(part)], cwd=ROOT) for part in range(WARMERS)]
    gpu_video.kernels_are_ready = lambda: [warmer.wait(timeout=120) for warmer in warmers]
    state = {"device": gpu_measure.device_name(), "torch": torch.__version__, "left_out": [], **read(out)}
    for name in names:
        module, estimate = SECTIONS[name]
        if time.time() + estimate > until:
            state["left_out"].append(name)
            continue
        write(out, {**state, "running": {"section": name, "since": time.time()}})
        start = time.perf_counter()
        if name not in ("ceilings", "raster_parity", "raster_speed", "unet"):  # `unet` waits itself, as late as it can
            gpu_video.kernels_are_ready()
        found = section(name, module)
        state[name] = {**found, "seconds": round(time.perf_counter() - start, 1)}
        print(f"== {name}", json.dumps(state[name], default=str)[:6000], flush=True)
        write(out, state)
        try:
            gpu_measure.synchronize()
            gpu_measure.fresh_memory()
        except RuntimeError:  # an error has taken this process's GPU from it; another process has it still
            os._exit(LOST)
    write(out, state)
    return 0


def section(name: str, module: str) -> dict[str, Any]:
    """What a section finds, or why it finds nothing."""
    import gpu_video

    gpu_video.PARTIAL.clear()
    try:
        found: dict[str, Any] = getattr(__import__(module), name)()
        return found
    except (Skipped, ImportError) as reason:
        return {"skipped": str(reason)}
    except Exception as error:
        if "No ffmpeg exe" in str(error):
            return {"skipped": "the program of imageio-ffmpeg is missing"}
        return {"error": traceback.format_exc()[-3000:], "partial": dict(gpu_video.PARTIAL)}


if __name__ == "__main__":
    raise SystemExit(main())
