"""One full denoising step as at inference: 4 views x 16 frames at 256², guidance on, random weights.

    python benchmarks/manual_denoising_step.py [--dtype bfloat16] [--sequential]

Minutes of CPU time; 10.3 GiB in float32, 6.0 GiB in bfloat16; not part of `make bench`.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

import torch
from mvvdm_unet import GIB, operations, random_inputs, random_unet


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--sequential", action="store_true", help="the two halves of guidance one after the other")
    arguments = parser.parse_args(argv)
    dtype, batch = getattr(torch, arguments.dtype), 1 if arguments.sequential else 2
    torch.set_grad_enabled(False)
    unet = random_unet(dtype)
    inputs = random_inputs(4, 16, 32, torch.device("cpu"), dtype, batch)
    start = time.perf_counter(), time.process_time()
    for _ in range(2 // batch):
        unet(**inputs)
    result = {
        "dtype": arguments.dtype,
        "sequential": arguments.sequential,
        "threads": torch.get_num_threads(),
        "tflop": round(2 * operations(4, 16, 32) / 1e12, 1),
        "seconds": round(time.perf_counter() - start[0], 1),
        "cpu_seconds": round(time.process_time() - start[1], 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB, 2),
    }
    json.dump(result, sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
