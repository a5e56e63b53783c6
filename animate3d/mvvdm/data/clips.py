"""From compressed videos to the frames of a training clip, decoding no more than the chosen frames need."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animate3d.errors import require
from animate3d.mvvdm.data.records import Record, UnreadableClipError

_H264_SLICES = range(1, 6)  # NAL unit types that hold picture data


@dataclass(frozen=True)
class Draw:
    """The random choices of one clip in one epoch.

    Attributes:
        views: numbers of the chosen videos, evenly spaced from a random one.
        fraction: where between the first and the last possible offset the frames start, in [0, 1).
    """

    views: tuple[int, ...]
    fraction: float


def draw(record: Record, num_views: int, *, seed: int, epoch: int) -> Draw:
    """Choices that depend on the seed, the epoch and the clip only: neither on its source nor on who reads it.

    Raises:
        UnreadableClipError: the videos cannot be divided into evenly spaced views.
    """
    if record.n_videos % num_views:
        raise UnreadableClipError(f"{record.n_videos} videos do not hold {num_views} evenly spaced views")
    generator = np.random.default_rng([seed, epoch, zlib.crc32(record.key.encode())])
    start = int(generator.integers(record.n_videos))
    step = record.n_videos // num_views
    views = tuple((start + step * k) % record.n_videos for k in range(num_views))
    return Draw(views, float(generator.random()))


def decode_views(
    videos: Sequence[str | bytes], fraction: float, *, n_frames: int, stride: int, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Decode the same frames of every view.

    Args:
        videos: paths or contents of V files of equal length.
        fraction: chooses the offset, see `Draw`.
        n_frames: F, number of frames.
        stride: distance between chosen frames.
        size: side of the square images; other shapes are scaled to the shorter side and cropped at the centre.

    Returns:
        frames uint8 ``[V, F, 3, size, size]`` and their numbers ``[F]``.

    Raises:
        UnreadableClipError: a video is missing, damaged or too short.
    """
    frames = np.empty((len(videos), n_frames, 3, size, size), dtype=np.uint8)
    numbers: NDArray[np.int64] | None = None
    for v, video in enumerate(videos):
        try:
            numbers = _decode(video, fraction, numbers, stride, frames[v])
        except UnreadableClipError as error:
            raise UnreadableClipError(f"{_name(video, v)}: {error}") from error
        except (OSError, ValueError) as error:  # PyAV's errors derive from these
            raise UnreadableClipError(f"{_name(video, v)} cannot be decoded ({error})") from error
    assert numbers is not None
    return frames, numbers


def _name(video: str | bytes, v: int) -> str:
    return video if isinstance(video, str) else f"chosen view {v}"


def _decode(
    video: str | bytes, fraction: float, numbers: NDArray[np.int64] | None, stride: int, out: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Fill ``out [F, 3, size, size]``; ``numbers`` are the frames of the first view, chosen here when None."""
    av = require("av", feature="Reading training videos", extra="train")
    with av.open(io.BytesIO(video) if isinstance(video, bytes) else video) as container:
        if not container.streams.video:
            raise UnreadableClipError("the file holds no video")
        stream = container.streams.video[0]
        # Workers already use all cores, and starting threads costs more than these short videos.
        stream.thread_count = 1
        packets = [packet for packet in container.demux(stream) if packet.size and packet.pts is not None]
        times = sorted(packet.pts for packet in packets)
        if numbers is None:
            numbers = _choose(len(times), len(out), stride, fraction)
        if numbers[-1] >= len(times):
            raise UnreadableClipError(f"the video has {len(times)} frames; frame {numbers[-1]} is needed")
        slots = {times[number]: slot for slot, number in enumerate(numbers)}
        _decode_slots(av, stream, packets, slots, out)
    return numbers


def _choose(available: int, n_frames: int, stride: int, fraction: float) -> NDArray[np.int64]:
    span = stride * (n_frames - 1) + 1
    if available < span:
        raise UnreadableClipError(f"the video has {available} frames; {n_frames} at a distance of {stride} need {span}")
    return int(fraction * (available - span + 1)) + stride * np.arange(n_frames)


def _decode_slots(av: Any, stream: Any, packets: list[Any], slots: dict[int, int], out: NDArray[np.uint8]) -> None:
    """Decode until all frames with the times in ``slots`` are there; convert and scale only those."""
    length_size = _nal_length_size(stream.codec_context)
    # One converter for the video: setting up a scaler costs as much as using it on a frame.
    reformatter = av.video.reformatter.VideoReformatter()
    missing = set(slots)
    size = out.shape[-1]
    for packet in [*packets, None]:
        if packet is not None and length_size and packet.pts not in missing and _is_unreferenced(packet, length_size):
            continue  # no other frame needs it: the pictures that remain are the same
        for frame in stream.codec_context.decode(packet):
            if frame.pts in missing:
                if frame.is_corrupt:
                    raise UnreadableClipError(f"frame at time {frame.pts} is damaged")
                missing.discard(frame.pts)
                out[slots[frame.pts]] = _square(reformatter, frame, size).transpose(2, 0, 1)
        if not missing:
            return
    raise UnreadableClipError(f"{len(missing)} of the chosen frames cannot be decoded")


def _square(reformatter: Any, frame: Any, size: int) -> NDArray[np.uint8]:
    scale = size / min(frame.width, frame.height)
    width, height = max(size, round(frame.width * scale)), max(size, round(frame.height * scale))
    image = reformatter.reformat(frame, width, height, format="rgb24", interpolation="BICUBIC").to_ndarray()
    top, left = (height - size) // 2, (width - size) // 2
    return image[top : top + size, left : left + size]


def _nal_length_size(codec: Any) -> int:
    """Bytes of the length before every NAL unit of an H.264 stream in an MP4; 0 for anything else."""
    header = codec.extradata
    return (header[4] & 3) + 1 if codec.name == "h264" and header and len(header) > 4 and header[0] == 1 else 0


def _is_unreferenced(packet: Any, length_size: int) -> bool:
    """Whether no other frame is predicted from this one (``nal_ref_idc`` of its first slice is 0)."""
    data = memoryview(packet)
    position = 0
    while position + length_size < len(data):
        length = int.from_bytes(data[position : position + length_size], "big")
        header = data[position + length_size]
        if header & 31 in _H264_SLICES:
            return header >> 5 & 3 == 0
        position += length_size + length
    return False
