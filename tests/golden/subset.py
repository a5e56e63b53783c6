"""The committed golden vectors, unpacked into the layout in which they were recorded.

Weights and inputs of the recordings were drawn from seeds; a clone draws them again instead of carrying 20 MB of noise.
``draws.json`` says how, the ``.xz`` files hold everything else (see README.md).
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save_file
from torch import Tensor

HERE = Path(__file__).resolve().parent
LARGE_SET = HERE.parents[2] / "shared" / "golden" / "public"
STEP = 7  # of a thinned output, every seventh number is kept


def draw(kind: str, shape: list[int], scale: float, over: float, shift: float, generator: torch.Generator) -> Tensor:
    """Random tensor of the given shape, ``drawn * scale / over + shift``."""
    drawn = torch.randn(shape, generator=generator) if kind == "normal" else torch.rand(shape, generator=generator)
    return drawn * scale / over + shift


def drawn_tensors(streams: list[dict[str, Any]]) -> dict[str, dict[str, Tensor]]:
    """Tensors of every file, by file and name."""
    files: dict[str, dict[str, Tensor]] = {}
    for stream in streams:
        generator = torch.Generator().manual_seed(stream["seed"])
        tensors = {name: draw(*how, generator) for name, *how in stream["tensors"]}
        total = sum(float(tensor.double().sum()) for tensor in tensors.values())
        if abs(total - stream["sum"]) > 1e-3:
            raise ValueError(f"torch {torch.__version__} draws other numbers from seed {stream['seed']} than recorded")
        files.setdefault(stream["file"], {}).update(tensors)
    return files


def unpack(destination: Path) -> Path:
    """Write the subset as if it were the large set."""
    drawn = drawn_tensors(json.loads(lzma.decompress((HERE / "draws.json.xz").read_bytes())))
    for path in HERE.rglob("*"):
        target = destination / path.relative_to(HERE)
        if path.is_dir() or path.suffix in (".py", ".pyc", ".md") or path.name == "draws.json.xz":
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        if path.suffix == ".xz":
            target, data = target.with_suffix(""), lzma.decompress(data)
        if target.suffix == ".safetensors":
            tensors = load(data) | drawn.get(target.relative_to(destination).as_posix(), {})
            save_file(tensors, target, metadata={"format": "pt"})
        else:
            target.write_bytes(data)
    return destination


def kept(found: Tensor, expected: Tensor) -> Tensor:
    """Those numbers of ``found`` that were kept of a thinned output; all of them where it is whole."""
    return found if found.shape == expected.shape else found.flatten()[::STEP]
