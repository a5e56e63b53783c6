"""What the project reaches on a CUDA GPU: correctness first, then times, memory and shares of the card's own ceilings.

    python benchmarks/gpu.py [SECTION ...] [--budget SECONDS] [--out FILE.json]

Sections run one after the other, each on its own: what one meets does not stop the next, and what does not fit into the
budget is left out. The table shows every figure beside the last one that docs/gpu.md keeps. Nothing is downloaded:
weights are random, of full size.
"""

from __future__ import annotations

import argparse
import gc
import json
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

import gpu_raster  # noqa: E402
import gpu_shapes  # noqa: E402
import gpu_video  # noqa: E402
from gpu_measure import ceilings  # noqa: E402

WARMERS = 6
Section = Callable[[], dict[str, Any]]


def cuda_tests() -> dict[str, Any]:
    """The tests marked `cuda`: rasteriser, field, ARAP energy, videos and guidance with the CPU's numbers."""
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "--no-header", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return {"rows": {"tests marked `cuda`": lines[-1] if lines else done.stderr[-300:]}, "output": lines[-12:]}


def sections() -> dict[str, tuple[Section, float]]:
    """Sections by name in the order they run, and seconds that each takes on an H100."""
    found: dict[str, tuple[Section, float]] = {
        "ceilings": (ceilings, 2),
        "raster_parity": (gpu_raster.raster_parity, 3),
        "unet": (gpu_video.unet, 25),
        "sampling": (gpu_video.sampling, 14),
        "low_memory": (gpu_video.low_memory, 8),
        "attention": (gpu_shapes.attention, 5),
        "training": (gpu_video.training, 22),
        "training_compiled": (gpu_video.training_compiled, 90),
        "raster_speed": (gpu_raster.raster_speed, 6),
    }
    try:
        import gpu_fit  # fitting, tracking and the start, measured through the commands
    except ImportError:
        gpu_fit = None
    for name, estimate in (("reconstruction_step", 20), ("refinement_step", 20), ("tracking", 20), ("start", 30)):
        if hasattr(gpu_fit, name):
            found[name] = (getattr(gpu_fit, name), estimate)
    found["cuda_tests"] = (cuda_tests, 30)
    return found


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
    known = sections()
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"any of {', '.join(known)}; default: all")
    parser.add_argument("--budget", type=float, default=240, help="seconds, all sections together (default 240)")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="all figures as JSON")
    parser.add_argument("--warm", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.warm is not None:
        gpu_video.warm_kernels(options.warm, WARMERS)
        return 0
    unknown = sorted(set(options.sections) - known.keys())
    if unknown:
        parser.error(f"there is no section {unknown[0]}; there are {', '.join(known)}")
    if not torch.cuda.is_available():
        parser.error("PyTorch finds no CUDA GPU here")
    return run({name: known[name] for name in options.sections or known}, options.budget, options.out)


def run(chosen: dict[str, tuple[Section, float]], budget: float, out: Path) -> int:
    """Run sections, print what each found, write everything after each."""
    began = time.perf_counter()
    warmers = [subprocess.Popen([sys.executable, __file__, "--warm", str(part)], cwd=ROOT) for part in range(WARMERS)]
    gpu_video.kernels_are_ready = lambda: [warmer.wait(timeout=120) for warmer in warmers]
    results: dict[str, Any] = {"device": torch.cuda.get_device_name(0), "torch": torch.__version__, "left_out": []}
    rows: dict[str, str] = {}
    failed = False
    for number, (name, (section, estimate)) in enumerate(chosen.items()):
        if time.perf_counter() - began + estimate > budget:
            results["left_out"].append(name)
            continue
        start = time.perf_counter()
        if name not in ("ceilings", "raster_parity", "unet"):  # `unet` itself waits, as late as it can
            gpu_video.kernels_are_ready()
        try:
            found = section()
            rows |= found.get("rows", {})
        except Exception:  # the next section does not depend on it
            found, failed = {"error": traceback.format_exc()[-3000:], "partial": dict(gpu_video.PARTIAL)}, True
        results[name] = {**found, "seconds": round(time.perf_counter() - start, 1)}
        print(f"== {name}", json.dumps(results[name], default=str)[:6000], flush=True)
        out.write_text(json.dumps(results, indent=1, default=str))
        gc.collect()
        if "error" in found and _lost():
            left = list(chosen)[number + 1 :]
            rest = [
                "--budget",
                str(budget - (time.perf_counter() - began)),
                "--out",
                str(out.absolute().with_name(f"{name}-{out.name}")),
            ]
            return subprocess.call([sys.executable, __file__, *left, *rest], cwd=ROOT) or 1 if left else 1
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    kept = kept_column()
    seconds, left = time.perf_counter() - began, results["left_out"]
    print(f"\n{results['device']}, torch {results['torch']}, {seconds:.0f} s; left out: {left}")
    print("| what | last | now |\n|---|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {kept.get(name, '')} | {value} |")
    return int(failed)


def _lost() -> bool:
    """Whether an error has taken this process's GPU from it; another process has it still."""
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


if __name__ == "__main__":
    raise SystemExit(main())
