"""Writers of the Gaussian files that other programs make, as plain as their formats allow."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import torch
from plyfile import PlyData, PlyElement

from animate3d.gaussians import Gaussians
from animate3d.gaussians.sh import C0


def some(n: int, degree: int = 0, seed: int = 0) -> Gaussians:
    """Gaussians within what every format can hold."""
    g = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(shape, generator=g)

    dc, bands = uniform(-1.2, 1.2, n, 1, 3), uniform(-0.9, 0.9, n, (degree + 1) ** 2 - 1, 3)
    quats = torch.nn.functional.normalize(torch.randn(n, 4, generator=g), dim=-1)
    return Gaussians(
        uniform(-2, 2, n, 3), torch.cat([dc, bands], dim=1), uniform(-3, 3, n), uniform(-6, -1, n, 3), quats
    )


def _byte(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def write_splat(gaussians: Gaussians, path: Path) -> Path:
    rows = np.zeros(len(gaussians), [("m", "<f4", 3), ("s", "<f4", 3), ("c", "u1", 4), ("q", "u1", 4)])
    rows["m"], rows["s"] = gaussians.means, gaussians.scales
    rgb = 0.5 + C0 * gaussians.sh[:, 0].numpy()
    rows["c"] = _byte(255 * np.concatenate([rgb, gaussians.opacities.numpy()[:, None]], axis=1))
    rows["q"] = _byte(128 + 128 * gaussians.quats.numpy())
    path.write_bytes(rows.tobytes())
    return path


def write_compressed_ply(gaussians: Gaussians, path: Path, *, with_colors: bool = True) -> Path:
    n, chunks = len(gaussians), -(-len(gaussians) // 256)
    rgb = (0.5 + C0 * gaussians.sh[:, 0]).numpy()
    ranges: dict[str, np.ndarray] = {}

    def shares(values: np.ndarray, names: list[str]) -> np.ndarray:
        out = np.empty_like(values)
        ends = {f"{end}_{name}": np.empty(chunks, np.float32) for end in ("min", "max") for name in names}
        for c in range(chunks):
            rows = slice(256 * c, 256 * c + 256)
            low, high = values[rows].min(axis=0), values[rows].max(axis=0)
            out[rows] = (values[rows] - low) / np.maximum(high - low, 1e-9)
            for k, name in enumerate(names):
                ends[f"min_{name}"][c], ends[f"max_{name}"][c] = low[k], high[k]
        ranges.update(ends)
        return out

    def packed(values: np.ndarray, bits: tuple[int, ...]) -> np.ndarray:
        word = np.zeros(n, np.uint32)
        for k, width in enumerate(bits):
            word = word << width | np.round(values[:, k] * (2**width - 1)).astype(np.uint32)
        return word

    position = packed(shares(gaussians.means.numpy(), ["x", "y", "z"]), (11, 10, 11))
    scale = packed(shares(gaussians.log_scales.numpy(), ["scale_x", "scale_y", "scale_z"]), (11, 10, 11))
    inner = shares(rgb, ["r", "g", "b"]) if with_colors else np.clip(rgb, 0, 1)
    color = packed(np.concatenate([inner, gaussians.opacities.numpy()[:, None]], axis=1), (8, 8, 8, 8))
    quats = gaussians.quats.numpy()
    largest = np.abs(quats).argmax(axis=1)
    quats = quats * np.sign(quats[np.arange(n), largest])[:, None]
    others = np.stack([np.delete(q, k) for q, k in zip(quats, largest, strict=True)])
    rotation = largest.astype(np.uint32) << 30 | packed(others / 2**0.5 + 0.5, (10, 10, 10))
    vertex = np.zeros(n, [(f"packed_{name}", "u4") for name in ("position", "rotation", "scale", "color")])
    for name, values in (("position", position), ("rotation", rotation), ("scale", scale), ("color", color)):
        vertex[f"packed_{name}"] = values
    chunk = np.zeros(chunks, [(name, "f4") for name in ranges])
    for name, values in ranges.items():
        chunk[name] = values
    elements = [PlyElement.describe(chunk, "chunk"), PlyElement.describe(vertex, "vertex")]
    bands = gaussians.sh[:, 1:].transpose(1, 2).reshape(n, -1).numpy()
    if bands.shape[1]:
        sh = np.zeros(n, [(f"f_rest_{k}", "u1") for k in range(bands.shape[1])])
        for k in range(bands.shape[1]):
            sh[f"f_rest_{k}"] = np.clip((bands[:, k] / 8 + 0.5) * 256, 0, 255).astype(np.uint8)
        elements.append(PlyElement.describe(sh, "sh"))
    PlyData(elements, byte_order="<").write(str(path))
    return path


def spz_sections(gaussians: Gaussians, version: int, fraction: int = 12) -> list[bytes]:
    fixed = np.round(gaussians.means.numpy() * 2**fraction).astype("<i4")
    positions = np.ascontiguousarray(fixed).view(np.uint8).reshape(-1, 3, 4)[..., :3]
    xyzw = gaussians.quats.numpy()[:, [1, 2, 3, 0]]
    if version == 2:
        rotations = _byte(127.5 + 127.5 * (xyzw * np.where(xyzw[:, 3:] < 0, -1, 1))[:, :3])
    else:
        largest = np.abs(xyzw).argmax(axis=1)
        words = []
        for q, k in zip(xyzw, largest, strict=True):
            q, word = q * np.sign(q[k]), int(k)
            for axis in (axis for axis in range(4) if axis != k):
                word = word << 10 | int(q[axis] < 0) << 9 | round(511 * 2**0.5 * abs(float(q[axis])))
            words.append(word)
        rotations = np.array(words, "<u4")
    sections = [
        positions,
        _byte(255 * gaussians.opacities.numpy()),
        _byte(127.5 + 255 * 0.15 * gaussians.sh[:, 0].numpy()),
        _byte(16 * (gaussians.log_scales.numpy() + 10)),
        rotations,
        _byte(128 + 128 * gaussians.sh[:, 1:].numpy()),
    ]
    return [np.ascontiguousarray(section).tobytes() for section in sections]


def write_spz(gaussians: Gaussians, path: Path, version: int = 3, fraction: int = 12) -> Path:
    header = struct.pack("<IIIBBB", 0x5053474E, version, len(gaussians), gaussians.sh_degree, fraction, 0)
    sections = spz_sections(gaussians, version, fraction)
    if version < 4:
        path.write_bytes(gzip.compress(header + b"\0" + b"".join(sections)))
        return path
    import zstandard

    sections = [section for section in sections if section]
    packed = [zstandard.compress(section) for section in sections]
    table = b"".join(struct.pack("<QQ", len(p), len(s)) for p, s in zip(packed, sections, strict=True))
    path.write_bytes(header + struct.pack("<BI12x", len(sections), 32) + table + b"".join(packed))
    return path
