"""One forward pass of the full-size motion UNet with random weights: time, share of the matmul rate, peak memory.

    python benchmarks/mvvdm_unet.py [--latents 16 32] [--views 4] [--frames 16] [--dtype float32]

Needs about 8 GB in float32. The matmul rate is measured in the same run; operations are counted by PyTorch.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from animate3d.mvvdm.model.unet import MultiViewUNet

GIB = 2**30


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python benchmarks/mvvdm_unet.py --latents 8 --dtype bfloat16",
    )
    parser.add_argument("--latents", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--repeats", type=int, default=1, help="forward passes per size; the fastest counts")
    arguments = parser.parse_args(argv)

    dtype = getattr(torch, arguments.dtype)
    torch.set_grad_enabled(False)
    unet = random_unet(dtype)
    weights = sum(tensor.nbytes for tensor in unet.state_dict().values())
    results = []
    for latents in arguments.latents:
        work = operations(arguments.views, arguments.frames, latents)
        inputs = random_inputs(arguments.views, arguments.frames, latents, torch.device("cpu"), dtype)
        seconds, processor = [], []
        for _ in range(arguments.repeats):
            start = time.perf_counter(), time.process_time()
            unet(**inputs)
            seconds.append(time.perf_counter() - start[0])
            processor.append(time.process_time() - start[1])
        rate = matmul_rate(dtype)  # per processor second, so that other programs on the machine do not matter
        results.append(
            {
                "latents": f"{latents}x{latents}",
                "tflop": round(work / 1e12, 2),
                "seconds": round(min(seconds), 1),
                "cpu_seconds": round(min(processor), 1),
                "gflop_per_cpu_second": round(work / min(processor) / 1e9, 1),
                "matmul_gflop_per_cpu_second": round(rate / 1e9, 1),
                "share_of_matmul_rate": round(work / min(processor) / rate, 2),
                "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB, 2),
            }
        )
    head = {"threads": torch.get_num_threads(), "dtype": arguments.dtype, "weights_gib": round(weights / GIB, 2)}
    json.dump({**head, "results": results}, sys.stdout, indent=2)
    print()
    return 0


def random_unet(dtype: torch.dtype) -> MultiViewUNet:
    """The full-size model, made in its dtype; the values only have to be finite."""
    with torch.device("meta"):
        unet = torch.nn.Module.to(MultiViewUNet(), dtype)  # diffusers' own `to` warns without cause
    unet = unet.to_empty(device="cpu").eval()
    for tensor in unet.state_dict().values():
        tensor.normal_(std=0.01)
    return unet


def random_inputs(
    views: int, frames: int, latents: int, device: torch.device, dtype: torch.dtype, batch: int = 1
) -> dict[str, object]:
    rows = batch * views
    make = {"device": device, "dtype": dtype}
    return {
        "sample": torch.randn(rows, 4, frames, latents, latents, **make),
        "timestep": torch.tensor(500, device=device),
        "encoder_hidden_states": torch.randn(rows, 77, 768, **make),
        "camera": torch.randn(rows, 16, **make),
        "added_cond_kwargs": {"image_embeds": torch.randn(rows, 1024, **make)},
        "num_views": views,
    }


def operations(views: int, frames: int, latents: int, batch: int = 1) -> int:
    """Floating-point operations of one forward pass (two per multiply-add)."""
    with torch.device("meta"):
        unet = MultiViewUNet()
    counter = FlopCounterMode(display=False)
    with counter:
        unet(**random_inputs(views, frames, latents, torch.device("meta"), torch.float32, batch))
    return counter.get_total_flops()


def matmul_rate(dtype: torch.dtype, size: int = 2048, repeats: int = 3) -> float:
    """Operations per processor second of one large matrix product."""
    left, right = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    left @ right
    times = []
    for _ in range(repeats):
        start = time.process_time()
        left @ right
        times.append(time.process_time() - start)
    return 2 * size**3 / min(times)


if __name__ == "__main__":
    raise SystemExit(main())
