"""Decoding: the chosen frames, exactly, and a clear reason where that fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from animate3d.mvvdm.data import clips
from animate3d.mvvdm.data.clips import UnreadableClipError, decode_views, draw
from animate3d.mvvdm.data.records import Record

RECORD = Record("ant/00", "", 0.0, 0.0, "view_{}.mp4", 16)


def every_frame(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def noisy_video(path: Path, size: int = 48) -> Path:
    """Moving texture, so that frames differ and are predicted from each other."""
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8), np.ones((4, 4, 1), dtype=np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"bf": "3", "b-pyramid": "normal"}
        for frame in range(48):
            image = np.ascontiguousarray(np.roll(texture, (frame, 2 * frame), (0, 1)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("fraction, offset", [(0.0, 0), (0.5, 1), (0.99, 2)])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_chosen_frames_equal_those_of_decoding_everything(tmp_path, fraction, offset, as_bytes):
    path = noisy_video(tmp_path / "video.mp4")
    video = path.read_bytes() if as_bytes else str(path)
    frames, numbers = decode_views([video, video], fraction, n_frames=16, stride=3, size=48)
    assert numbers.tolist() == list(range(offset, 48, 3))[:16]
    expected = every_frame(path)[numbers].transpose(0, 3, 1, 2)
    assert frames.shape == (2, 16, 3, 48, 48)
    # The converter is told an interpolation, which also rules how the halved colour planes are widened.
    assert np.abs(frames[0].astype(int) - expected).max() <= 24
    assert np.abs(frames[0].astype(int) - expected).mean() < 1.5
    assert np.array_equal(frames[0], frames[1])


def test_frames_that_nothing_depends_on_are_not_decoded(tmp_path, monkeypatch):
    path = str(noisy_video(tmp_path / "video.mp4"))
    settings = {"n_frames": 16, "stride": 3, "size": 48}
    fast, _ = decode_views([path], 0.0, **settings)
    with av.open(path) as container:
        stream = container.streams.video[0]
        length_size = clips._nal_length_size(stream.codec_context)
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert length_size == 4
    assert sum(clips._is_unreferenced(packet, length_size) for packet in packets) >= 8
    monkeypatch.setattr(clips, "_nal_length_size", lambda codec: 0)
    slow, _ = decode_views([path], 0.0, **settings)
    assert np.array_equal(fast, slow)


def test_other_shapes_are_scaled_and_cropped_at_the_centre(tmp_path):
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        image = np.zeros((32, 64, 3), dtype=np.uint8)
        image[:, 16:48] = 255
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    frames, _ = decode_views([str(path)], 0.0, n_frames=2, stride=1, size=16)
    assert frames.shape == (1, 2, 3, 16, 16)
    assert frames[..., 2:-2].min() > 230


@pytest.mark.parametrize(
    "content, reason",
    [(None, "No such file"), (b"", "cannot be decoded"), (b"no video at all" * 100, "cannot be decoded")],
)
def test_missing_and_damaged_videos_say_which_and_why(tmp_path, content, reason):
    path = tmp_path / "view_0.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableClipError, match=reason) as error:
        decode_views([str(path)], 0.0, n_frames=16, stride=3, size=16)
    assert "view_0.mp4" in str(error.value)


def test_too_short_a_video_says_how_many_frames_it_has(made):
    path = str(made / "videos/ant/00/view_0.mp4")
    with pytest.raises(UnreadableClipError, match=r"48 frames; 17 at a distance of 3 need 49"):
        decode_views([path], 0.0, n_frames=17, stride=3, size=16)


def test_the_draw_depends_on_seed_epoch_and_clip_only():
    assert draw(RECORD, 4, seed=1, epoch=2) == draw(replace(RECORD, archive="x.tar", text="t"), 4, seed=1, epoch=2)
    draws = {draw(RECORD, 4, seed=seed, epoch=epoch) for seed in range(3) for epoch in range(3)}
    assert len(draws) == 9


def test_every_view_is_a_start_and_views_are_evenly_spaced():
    views = [draw(RECORD, 4, seed=0, epoch=epoch).views for epoch in range(300)]
    assert {first for first, *_ in views} == set(range(16))
    assert all([(v - chosen[0]) % 16 for v in chosen] == [0, 4, 8, 12] for chosen in views)
