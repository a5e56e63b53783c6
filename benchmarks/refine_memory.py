"""Peak memory and time of refinement steps: 4 x 16 targets and the guided orbit, through the launcher.

    python benchmarks/refine_memory.py [--gaussians 20000] [--size 1024] [--steps 2] [--chunk-views 4]

The video model has random weights and a few megabytes (``python -m animate3d.mvvdm.tiny``), so the numbers are those of
everything else: targets, renders, deformation field, optimiser. The model's own weights and activations come on top.
The peak is that of the whole process, Python and libraries included. ``--chunk-views 64`` holds all images at once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

BAR_GIGABYTES = 6.0
VIEWS, FRAMES = 4, 16
CONFIG = "custom/threestudio-animate3d/configs/refine_frame_16.yaml"


def status(field: str) -> float:
    """Memory of this process in GB, from the kernel's account of it."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(field))
    return int(line.split()[1]) / 1e6


def write_inputs(folder: Path, gaussians: int, size: int) -> None:
    """A ball of Gaussians, one frame of a disc for every target, and a tiny video model."""
    from PIL import Image

    from animate3d.gaussians import Gaussians, save_ply
    from animate3d.mvvdm.tiny import write_tiny

    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(gaussians, 3, generator=generator), dim=1)
    model = Gaussians(
        means=0.6 * directions,
        sh=torch.randn(gaussians, 1, 3, generator=generator),
        opacity_logits=torch.full((gaussians,), 4.0),
        log_scales=torch.full((gaussians, 3), float(np.log(1.5 / gaussians**0.5))),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(gaussians, 1),
    )
    save_ply(model, folder / "model.ply")
    y, x = np.mgrid[:size, :size] / size - 0.5
    rgba = np.full((size, size, 4), 128, np.uint8)
    rgba[..., 3] = 255 * (np.hypot(x, y) < 0.3)
    (folder / "frames").mkdir()
    Image.fromarray(rgba).save(folder / "frames" / "0.png")
    content = (folder / "frames" / "0.png").read_bytes()
    for index in range(1, VIEWS * FRAMES):
        (folder / "frames" / f"{index}.png").write_bytes(content)
    write_tiny(folder / "weights")


def refine(folder: Path, options: argparse.Namespace) -> None:
    """Run the steps in this process and print what it took."""
    from animate3d.studio.launch import launch

    keys = [
        *(
            "name=benchmark",
            "tag=refine",
            f"exp_root_dir={folder / 'outputs'}",
            "system.prompt_processor.prompt=a ball",
        ),
        *(f"data.image_root={folder / 'frames'}", f"data.width={options.size}", f"data.height={options.size}"),
        f"system.geometry.geometry_convert_from={folder / 'model.ply'}",
        f"system.guidance.pretrained_model_name_or_path={folder / 'weights'}",
        f"system.prompt_processor.pretrained_model_name_or_path={folder / 'weights'}",
        *(f"trainer.max_steps={options.steps}", "trainer.limit_val_batches=0", "trainer.enable_progress_bar=false"),
    ]
    if options.chunk_views:
        keys.append(f"data.chunk_views={options.chunk_views}")
    start = time.perf_counter()
    launch(CONFIG, keys)
    print(json.dumps({"peak_gigabytes": round(status("VmHWM"), 2), "seconds": round(time.perf_counter() - start, 1)}))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python benchmarks/refine_memory.py --size 512 --gaussians 5000",
    )
    parser.add_argument("--gaussians", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=1024, help="pixels of the targets")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--chunk-views", type=int, help="data.chunk_views (default: as the data module chooses)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.folder:
        refine(options.folder, options)
        return 0
    with tempfile.TemporaryDirectory() as name:
        write_inputs(Path(name), options.gaussians, options.size)
        # A process of its own, so that making the inputs does not count.
        command = [sys.executable, __file__, *(sys.argv[1:] if argv is None else argv), f"--folder={name}"]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured = json.loads(result.stdout.strip().splitlines()[-1])
    sizes = {key: getattr(options, key) for key in ("gaussians", "size", "steps", "chunk_views")}
    good = measured["peak_gigabytes"] <= BAR_GIGABYTES
    print(json.dumps({"sizes": sizes, "threads": torch.get_num_threads(), **measured, "bar": BAR_GIGABYTES}, indent=2))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
