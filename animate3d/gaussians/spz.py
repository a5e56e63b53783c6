"""Niantic's ``.spz`` files, versions 2 to 4: the attributes one after the other, in bytes, compressed.

Versions 2 and 3 are one gzip stream with the header in it; version 4 has a plain header, a table of sizes and a zstd
stream for every attribute.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from animate3d.errors import InputError, require
from animate3d.gaussians.gaussians import Gaussians
from animate3d.gaussians.sh import MAX_DEGREE
from animate3d.gaussians.usable import gaussians_of, logits

_MAGIC = 0x5053474E
_HEADER, _HEADER_4 = struct.Struct("<IIIBBBB"), struct.Struct("<IIIBBBBI12x")
_SIZES = struct.Struct("<QQ")
_LARGEST = 10_000_000  # Gaussians, as in the format's own reader
_COLOR_SCALE = 0.15
_GZIP = 31  # zlib's number for a gzip wrapper
_DEEPEST = 1100  # bytes that one byte of deflate can stand for, a little more than its limit


class _Header(NamedTuple):
    version: int
    rows: int
    degree: int
    fraction: int
    """Bits after the point of a position."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of positions, opacities, colours, scales, rotations and bands."""
        rotation = 3 if self.version == 2 else 4
        return tuple(self.rows * width for width in (9, 1, 3, 3, rotation, 3 * ((self.degree + 1) ** 2 - 1)))


def read_spz(path: Path) -> Gaussians:
    """Gaussians in the file's own axes (y up in files of the format's own tools).

    Raises:
        InputError: not such a file, damaged, or of a version or degree that is not known.
        MissingDependencyError: version 4 without the package `zstandard`.
    """
    content = path.read_bytes()
    header, streams = _plain(content, path) if content[:4] == _MAGIC.to_bytes(4, "little") else _gzipped(content, path)
    bytes_of = [np.frombuffer(stream, np.uint8).reshape(header.rows, -1) for stream in streams]
    positions, opacities, colors, scales, rotations, bands = bytes_of
    sh = [(colors / np.float32(255) - 0.5) / np.float32(_COLOR_SCALE)]
    sh += list(np.moveaxis((bands.reshape(header.rows, -1, 3) - np.float32(128)) / 128, 1, 0))
    if header.degree > MAX_DEGREE:
        warnings.warn(
            f"{path} has spherical harmonics of degree {header.degree}; those above {MAX_DEGREE} are dropped.",
            stacklevel=2,
        )
        sh = sh[: (MAX_DEGREE + 1) ** 2]
    return gaussians_of(
        _fixed_point(positions) / 2.0**header.fraction,
        np.stack(sh, axis=1),
        logits(opacities[:, 0] / np.float32(255)),
        scales / np.float32(16) - 10,
        _three_bytes(rotations) if header.version == 2 else _smallest_three(rotations),
    )


def _gzipped(content: bytes, path: Path) -> tuple[_Header, list[bytes]]:
    try:
        stream = zlib.decompressobj(_GZIP)
        start = stream.decompress(content, _HEADER.size)
        if len(start) < _HEADER.size:
            raise InputError(f"{path} is not an .spz file, or it is truncated.")
        header = _checked(_HEADER.unpack(start)[:5], (2, 3), path)
        # Before anything is allocated: what the header promises has to be in the file.
        if sum(header.sizes) > _DEEPEST * len(content):
            raise InputError(f"{path} is truncated: its header promises {header.rows} Gaussians.")
        left = stream.unconsumed_tail
        body = stream.decompress(left, sum(header.sizes))
    except zlib.error as error:
        raise InputError(f"{path} is not a readable .spz file, it may be truncated ({error}).") from error
    if len(body) < sum(header.sizes):
        raise InputError(f"{path} is truncated: its header promises {header.rows} Gaussians.")
    ends = np.cumsum(header.sizes)
    return header, [body[end - size : end] for end, size in zip(ends, header.sizes, strict=True)]


def _plain(content: bytes, path: Path) -> tuple[_Header, list[bytes]]:
    if len(content) < _HEADER_4.size:
        raise InputError(f"{path} is truncated: it ends within its header.")
    *facts, _, count, table = _HEADER_4.unpack_from(content)
    header = _checked(tuple(facts), (4,), path)
    sizes = [size for size in header.sizes if size > 0]
    at = table + count * _SIZES.size
    if count != len(sizes) or table < _HEADER_4.size or at > len(content):
        raise InputError(f"{path} is not a readable .spz file: its table of {count} streams does not fit its header.")
    zstd = require("zstandard", feature="Reading an .spz file of version 4", extra="splats")
    streams = []
    for number, size in enumerate(sizes):
        packed, unpacked = _SIZES.unpack_from(content, table + number * _SIZES.size)
        if unpacked != size or at + packed > len(content):
            raise InputError(f"{path} is truncated or damaged: stream {number} does not have the length it should.")
        try:
            # A reader, because the frame's own size is not to be trusted.
            stream = zstd.ZstdDecompressor(max_window_size=1 << 27).stream_reader(content[at : at + packed]).read(size)
        except zstd.ZstdError as error:
            raise InputError(f"{path} is not a readable .spz file, it may be truncated ({error}).") from error
        if len(stream) != size:
            raise InputError(f"{path} is truncated or damaged: stream {number} does not have the length it should.")
        streams.append(stream)
        at += packed
    return header, [*streams, *[b""] * (len(header.sizes) - len(streams))]


def _checked(facts: tuple[int, ...], versions: tuple[int, ...], path: Path) -> _Header:
    magic, version, count, degree, fraction = facts
    if magic != _MAGIC:
        raise InputError(f"{path} is not an .spz file.")
    if version not in versions:
        raise InputError(f"{path} is an .spz file of version {version}; versions 2 to 4 are read: export it again.")
    if not 0 < count <= _LARGEST:
        raise InputError(f"{path} says that it holds {count} Gaussians; 1 to {_LARGEST} can be read.")
    if degree > MAX_DEGREE + 1 or fraction > 24:
        raise InputError(f"{path} is a damaged .spz file (degree {degree}, {fraction} bits after the point).")
    return _Header(version, count, degree, fraction)


def _fixed_point(positions: np.ndarray) -> np.ndarray:
    """Signed numbers of three bytes ``[N, 9]`` -> ``[N, 3]`` float64."""
    low, middle, high = np.moveaxis(positions.reshape(-1, 3, 3).astype(np.int32), 2, 0)
    value = low | middle << 8 | high << 16
    return np.where(value >= 1 << 23, value - (1 << 24), value).astype(np.float64)


def _three_bytes(rotations: np.ndarray) -> np.ndarray:
    """x y z in bytes ``[N, 3]`` -> w x y z ``[N, 4]``."""
    axis = rotations / np.float32(127.5) - 1
    w = np.sqrt(np.maximum(1 - (axis**2).sum(axis=1, keepdims=True), 0))
    return np.concatenate([w, axis], axis=1)


def _smallest_three(rotations: np.ndarray) -> np.ndarray:
    """``[N, 4]`` bytes -> w x y z ``[N, 4]``.

    The upper two bits number the largest of x y z w; the others follow from the last to the first, each with nine bits
    of its size over the largest it can have, and a sign.
    """
    left = np.ascontiguousarray(rotations).view("<u4")[:, 0].copy()
    largest = left >> 30
    xyzw = np.zeros((len(left), 4), np.float32)
    for axis in range(3, -1, -1):
        stored = largest != axis
        size = (left & 511) / np.float32(511 * 2**0.5)
        xyzw[:, axis] = np.where(stored, np.where(left >> 9 & 1, -size, size), 0)
        left = np.where(stored, left >> 10, left)
    rest = np.sqrt(np.maximum(1 - (xyzw**2).sum(axis=1), 0))
    xyzw[np.arange(len(left)), largest] = rest
    return xyzw[:, [3, 0, 1, 2]]
