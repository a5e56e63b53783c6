"""Memory and time of training the full-size model, counted on the meta device; no weights and no GPU needed.

python benchmarks/mvvdm_training_estimate.py [--frames 16 --size 256] [--measure]

Counted: parameters, FLOPs of every matrix product, convolution and attention, bytes that the backward pass keeps.
Assumed: the speed and memory of the GPU, and the share of its peak speed that a training reaches.
``--measure`` runs the tiny model on this machine and puts its step beside the same count.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from animate3d.mvvdm.model import attention
from animate3d.mvvdm.model.unet import TRAINED, MultiViewUNet
from animate3d.mvvdm.tiny import UNET
from animate3d.mvvdm.training.trainable import RECOMPUTED, freeze, recompute_activations

GIB = 2**30
GPUS = {"A100 80 GB": (312e12, 80), "H100 80 GB": (989e12, 80), "RTX 4090 24 GB": (165e12, 24)}
"""Dense bf16 FLOP/s with float32 sums, and memory in GB, from the makers' data sheets."""
SHARE = 0.35
"""Assumed share of peak speed; UNets with attention usually reach 0.3 to 0.45."""
NETWORK = 25e9
"""Assumed bytes/s between machines and GPU (200 Gbit/s)."""
ENCODERS = 123.1e6 + 632.1e6
"""Parameters of CLIP's text model and of the IP-Adapter's image model."""


@dataclass
class Counted:
    """One training step of one sample."""

    parameters: int
    trained: int
    forward: float
    step: float
    kept: int
    kept_recomputing: int
    largest_block: int
    encode: float
    autoencoder: int


def inputs(
    unet: MultiViewUNet, views: int, frames: int, size: int, device: str, dtype: torch.dtype
) -> dict[str, object]:
    """Arguments of a forward pass for one sample."""

    def make(*shape: int) -> Tensor:
        return torch.zeros(shape, device=device, dtype=dtype)

    config = unet.config
    return {
        "sample": make(views, 4, frames, size // 8, size // 8),
        "timestep": torch.zeros(views, device=device, dtype=torch.long),
        "encoder_hidden_states": make(views, 77, config["cross_attention_dim"]),
        "camera": make(views, 16),
        "added_cond_kwargs": {"image_embeds": make(views, config["image_embed_dim"])},
        "num_views": views,
    }


def flops(run: Callable[[], object]) -> float:
    """FLOPs of a call, two per multiply-add."""
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def kept_bytes(run: Callable[[], Tensor], owned: set[int]) -> int:
    """Bytes of the tensors that a forward pass keeps for the backward pass, without the model's own."""
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in owned:
            seen[storage._cdata] = storage.nbytes()
            alive.append(tensor)  # an address must not be used twice
        return tensor

    alive: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(seen.values())


@contextmanager
def as_on_a_gpu(mixed: bool) -> Iterator[None]:
    """Inside, the meta device does what a GPU does: fused attention, and the casts of bfloat16 autocast.

    Left to itself it would keep every score matrix, and everything in one dtype.
    """

    def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return torch.ops.aten._scaled_dot_product_flash_attention(query, key, value)[0]

    def narrow(original: Callable) -> Callable:
        return lambda x, weight, bias=None, *rest: original(x.bfloat16(), weight, bias, *rest)

    group_norm, layer_norm = F.group_norm, F.layer_norm

    def wide_group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        return group_norm(x.float(), groups, weight.float(), bias.float(), eps)

    def wide_layer_norm(x: Tensor, shape: list[int], weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        return layer_norm(x.float(), shape, weight.float(), bias.float(), eps)

    with patch.object(attention, "fused_attention", fused):
        if not mixed:
            yield
            return
        with (
            patch.object(F, "linear", narrow(F.linear)),
            patch.object(F, "conv2d", narrow(F.conv2d)),
            patch.object(F, "group_norm", wide_group_norm),
            patch.object(F, "layer_norm", wide_layer_norm),
        ):
            yield


def count(arguments: dict[str, object], views: int, frames: int, size: int, *, mixed: bool = True) -> Counted:
    """Count one step of a model, with bfloat16 autocast (``mixed``) or all in float32."""
    dtype = torch.bfloat16 if mixed else torch.float32
    with torch.device("meta"):
        unet = MultiViewUNet(**arguments).train()
        autoencoder = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        )
    for parameter in unet.parameters():
        parameter.data = parameter.data.to(dtype)
    trained = freeze(unet, TRAINED)
    values = inputs(unet, views, frames, size, "meta", dtype)

    def forward() -> Tensor:
        return unet(**values).sample.float().square().mean()

    owned = {p.untyped_storage()._cdata for p in [*unet.parameters(), *unet.buffers()]}
    with as_on_a_gpu(mixed):
        forward_flops = flops(forward)
        step_flops = flops(lambda: forward().backward())
        kept = kept_bytes(forward, owned)
        largest = _largest_block(unet, values, owned)
        restore = recompute_activations(unet)
        kept_recomputing = kept_bytes(forward, owned)
        restore()
    images = torch.zeros(views * frames, 3, size, size, device="meta")
    return Counted(
        parameters=sum(p.numel() for p in unet.parameters()),
        trained=sum(p.numel() for p in trained.values()),
        forward=forward_flops,
        step=step_flops,
        kept=kept,
        kept_recomputing=kept_recomputing,
        largest_block=largest,
        encode=flops(lambda: autoencoder.encode(images)),
        autoencoder=sum(p.numel() for p in autoencoder.parameters()),
    )


def _largest_block(unet: nn.Module, values: dict[str, object], owned: set[int]) -> int:
    """Bytes that recomputing keeps for a moment: of the block that keeps most."""
    largest = 0
    blocks = [module for module in unet.modules() if isinstance(module, RECOMPUTED)]
    for module in blocks:
        original = module.forward

        def measured(*args: object, _original: Callable = original, **kwargs: object) -> object:
            nonlocal largest
            result: list[object] = []
            largest = max(largest, kept_bytes(lambda: result.append(_original(*args, **kwargs)), owned))  # type: ignore[arg-type, return-value]
            return result[0]

        module.forward = measured  # type: ignore[method-assign]
    unet(**values)
    for module in blocks:
        del module.forward
    return largest


def report(counted: Counted, frames: int, size: int, clips: int) -> None:
    """Print the tables."""
    frozen = counted.parameters - counted.trained
    print(f"UNet: {counted.parameters / 1e6:.0f} M parameters, of which {counted.trained / 1e6:.0f} M are trained")
    print(f"one sample, 4 views x {frames} frames x {size}²:")
    print(f"  forward {counted.forward / 1e12:.1f} TFLOP; forward and backward {counted.step / 1e12:.1f} TFLOP")
    print(f"  image autoencoder, {4 * frames} images: {counted.encode / 1e12:.1f} TFLOP")
    fixed = {
        "frozen UNet, bf16": 2 * frozen,
        "trained UNet, float32": 4 * counted.trained,
        "gradients, float32": 4 * counted.trained,
        "AdamW, float32": 8 * counted.trained,
        "frozen encoders, bf16": 2 * (counted.autoencoder + ENCODERS),
        "bf16 copies of trained weights": 2 * counted.trained,
    }
    for name, value in fixed.items():
        print(f"  {value / GIB:6.2f} GiB  {name}")
    print(f"  {counted.kept / GIB:6.2f} GiB  kept for the backward pass")
    recomputing = counted.kept_recomputing + counted.largest_block
    print(f"  {recomputing / GIB:6.2f} GiB  the same with gradient_checkpointing")
    total = sum(fixed.values())
    print(f"  {(total + counted.kept) / GIB:6.2f} GiB  together")
    print(f"  {(total + recomputing) / GIB:6.2f} GiB  together with gradient_checkpointing")
    sharded = total - (2 * frozen + 16 * counted.trained) + (4 * frozen + 16 * counted.trained) / 32
    print(f"  {(sharded + recomputing) / GIB:6.2f} GiB  the same on each of 32 GPUs with FSDP")
    gradients = 2 * 31 / 32 * 4 * counted.trained
    print(f"  {gradients / GIB:6.2f} GiB  sent per GPU and step with 32 GPUs")
    print("\n| GPU | recompute | s/step | clips/h, one | clips/h, 32 | days for an epoch of 84k clips, one | 32 |")
    print("|---|---|---|---|---|---|---|")
    for name, (speed, memory) in GPUS.items():
        for recompute in (False, True):
            need = total + (recomputing if recompute else counted.kept)
            if need > 0.92 * memory * 1e9:
                print(f"| {name} | {'yes' if recompute else 'no'} | does not fit | | | | |")
                continue
            work = counted.step + (counted.forward if recompute else 0) + counted.encode
            seconds = work / (speed * SHARE)
            # The exchange of gradients overlaps with the backward pass, about half of the step.
            together = seconds + max(0.0, gradients / NETWORK - seconds / 2)
            rate, rate32 = 3600 / seconds, 32 * 3600 / together
            print(
                f"| {name} | {'yes' if recompute else 'no'} | {seconds:.2f} | {rate:.0f} | {rate32:.0f} | "
                f"{clips / rate / 24:.1f} | {clips / rate32 / 24:.2f} |"
            )


def measure(frames: int, size: int) -> None:
    """One training step of a small model on the CPU, counted and timed."""
    arguments = {**UNET, "block_out_channels": (64, 128, 256, 256), "norm_num_groups": 32, "sample_size": size // 8}
    counted = count(arguments, 4, frames, size, mixed=False)
    unet = MultiViewUNet(**arguments).train()
    freeze(unet, TRAINED)
    values = inputs(unet, 4, frames, size, "cpu", torch.float32)
    owned = {p.untyped_storage()._cdata for p in [*unet.parameters(), *unet.buffers()]}
    kept = kept_bytes(lambda: unet(**values).sample, owned)
    seconds = {}
    for recompute in (False, True):
        if recompute:
            recompute_activations(unet)
        times = []
        for _ in range(4):
            start = time.perf_counter()
            unet(**values).sample.square().mean().backward()
            times.append(time.perf_counter() - start)
        seconds[recompute] = min(times[1:])
    matrix = torch.randn(1024, 1024)
    start = time.perf_counter()
    for _ in range(10):
        matrix @ matrix
    peak = 10 * 2 * 1024**3 / (time.perf_counter() - start)
    result = {
        "threads": torch.get_num_threads(),
        "counted_gflop": round(counted.step / 1e9, 2),
        "seconds": round(seconds[False], 3),
        "seconds_recomputing": round(seconds[True], 3),
        "gflops": round(counted.step / seconds[False] / 1e9, 1),
        "matrix_product_gflops": round(peak / 1e9, 1),
        "share_of_peak": round(counted.step / seconds[False] / peak, 2),
        "kept_mib_counted": round(counted.kept / 2**20, 1),
        "kept_mib_measured": round(kept / 2**20, 1),
    }
    print(json.dumps(result, indent=1))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--clips", type=int, default=84_000, help="clips of an epoch")
    parser.add_argument("--measure", action="store_true", help="also run a small model on this machine")
    options = parser.parse_args()
    report(count({}, 4, options.frames, options.size), options.frames, options.size, options.clips)
    if options.measure:
        print("\na small model on this machine, 4 views x 4 frames x 64²:")
        measure(4, 64)


if __name__ == "__main__":
    main()
