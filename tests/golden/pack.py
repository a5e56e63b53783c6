"""Make the committed subset from the large set: ``python tests/golden/pack.py LARGE``.

A tensor that a known seed gives back bit for bit is left out, a long output is thinned, the rest is compressed.
"""

from __future__ import annotations

import json
import lzma
import math
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from subset import HERE, STEP, draw
from torch import Tensor

SEEDS = {
    "tiny_components/unet/diffusion_pytorch_model.safetensors": [1002],
    "tiny_components/text_encoder/model.safetensors": [1300],
    "tiny_components/image_encoder/model.safetensors": [1301],
    "tiny_components/vae/diffusion_pytorch_model.safetensors": [1302],
    "unet_tiny/cases.safetensors": [1010],
    "attn_processors/cases.safetensors": [*range(1201, 1216), *range(1251, 1266), *range(1301, 1316)],
    "guidance_tiny/cases.safetensors": [1400, 1420],
    "pipeline_tiny/cases.safetensors": [5, 11, 12, 13, 14, 99],
    "train_step/cases.safetensors": [1910],
    "kplanes_deform/cases.safetensors": [1500, 1501, 1520, 1521],
}
LEFT_OUT = re.compile(
    "clip_pixel_values|images_other_size|encode_latents_resized|freeinit2.frames_pt|tf441|transformers_4.41|"
    r"guidance_tiny:(rgb|call)|conn_multi|arap:.*\.(weight|nn|sampled|rotation_frame1)|train_step.*\.target"
)
THINNED = re.compile(
    r"attn_processors:.*\.out$|unet_tiny:.*(\.act\.|\.out$)|frames_pt|\.(latents_noisy|noise_pred|latents_recon)$|"
    r"noisy_latents|model_pred|kplanes_deform:.*(\.grad\.(grid|delta|global)|features)|pipeline_tiny:.*(trace|latents_final)"
)
SMALL = 20_000


def scales(shape: torch.Size) -> list[tuple[str, float, float, float]]:
    """How a tensor of this shape may have been drawn: kind, scale, divisor and shift."""
    shifted = [(1.0, 0.0), (0.05, 0.0), (0.05, 1.0), (0.5, 0.4), (0.7, 0.0), (0.3, -3.0)]
    found = [("normal", scale, 1.0, shift) for scale, shift in shifted]
    found += [("uniform", scale, 1.0, shift) for scale, shift in ((1.0, 0.0), (0.8, 0.3), (2.2, -1.1))]
    if len(shape) > 1 and shape.numel():
        fan_in = math.sqrt(shape[1:].numel())
        found += [
            ("normal", max(0.05, 0.8 / fan_in), 1.0, 0.0),
            ("normal", 0.4, fan_in, 0.0),
            ("normal", 1.0, fan_in, 0.0),
        ]
    return found


def streams(file: str, tensors: dict[str, Tensor]) -> list[dict[str, Any]]:
    """Tensors that the file's seeds give back; they are removed from ``tensors``."""
    found = []
    for seed in SEEDS.get(file, []):
        generator, drawn, total = torch.Generator().manual_seed(seed), [], 0.0
        while (hit := following(tensors, generator)) is not None:
            total += float(tensors.pop(hit[0]).double().sum())
            drawn.append(hit)
        if drawn:
            found.append({"file": file, "seed": seed, "sum": total, "tensors": drawn})
    return found


def following(tensors: dict[str, Tensor], generator: torch.Generator) -> list[Any] | None:
    """The tensor that the generator gives next: its name and how it is drawn."""
    before = generator.get_state()
    for name in sorted(tensors):
        value = tensors[name]
        if value.numel() and value.dtype == torch.float32:
            for how in scales(value.shape):
                generator.set_state(before)
                if torch.equal(draw(how[0], list(value.shape), *how[1:], generator), value):
                    return [name, how[0], list(value.shape), *how[1:]]
    generator.set_state(before)
    return None


def main(large: Path) -> None:
    for folder in HERE.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    found = []
    for path in sorted(path for path in large.rglob("*") if path.is_file()):
        file = path.relative_to(large).as_posix()
        target = HERE / file
        data = path.read_bytes()
        if path.suffix == ".safetensors":
            group = file.split("/")[0]
            tensors = {k: v for k, v in load_file(path).items() if not LEFT_OUT.search(f"{group}:{k}")}
            found += streams(file, tensors)
            for key, value in tensors.items():
                if THINNED.search(f"{group}:{key}") and value.numel() > 1000:
                    tensors[key] = value.flatten()[::STEP].clone()
            data = save({key: value.contiguous() for key, value in tensors.items()})
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors" or len(data) > SMALL:
            data, target = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME), target.with_name(target.name + ".xz")
        target.write_bytes(data)
    (HERE / "draws.json.xz").write_bytes(lzma.compress(json.dumps(found).encode(), preset=9))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
