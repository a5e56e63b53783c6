"""Clips of any kind are read the same, and their object is cut out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from animate3d.errors import InputError
from animate3d.masks.background import BackgroundSegmenter
from animate3d.runs.clip import LONGEST, Clip, Trim, read_clip
from animate3d.runs.cutout import cut_out, first_alpha
from animate3d.runs.shot import WrongClip

SIZE = (66, 50)
BLUE, ORANGE = (60, 90, 190), (230, 140, 30)


def drawn(frames: int = 6, background: tuple[int, ...] = BLUE, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A disc that wanders to the right. ``[F, H, W, 4]``, alpha exact."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    images = np.empty((frames, height, width, 4), np.uint8)
    for f in range(frames):
        disc = (x - width * (0.35 + 0.03 * f)) ** 2 + (y - height * 0.5) ** 2 < (0.28 * height) ** 2
        images[f, ..., :3] = np.where(disc[..., None], ORANGE, background)
        images[f, ..., 3] = 255 * disc
    return images


def encoded(path: Path, images: np.ndarray, codec: str, pixels: str, fps: float = 10) -> Path:
    height, width = images.shape[1:3]
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), pix_fmt_in="rgba", pix_fmt_out=pixels, fps=fps, codec=codec, macro_block_size=1
    )
    writer.send(None)
    for image in images:
        writer.send(np.ascontiguousarray(image))
    writer.close()
    return path


def frames_of(path: Path, trim: Trim | None = None) -> np.ndarray:
    return np.stack(list(read_clip(path, trim).frames()))


def object_of(clip: Clip) -> np.ndarray:
    """Its frames with the object cut out. ``[F, H, W, 4]``"""
    first = next(clip.frames())
    alpha = first[..., 3] / np.float32(255) if clip.has_alpha else first_alpha(first[..., :3], "clip")
    return np.stack(list(cut_out(clip, alpha, BackgroundSegmenter())))


@pytest.fixture(params=["mp4", "mov", "webm", "gif", "folder"])
def opaque(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    images = drawn()
    images[..., 3] = 255
    kind = request.param
    if kind == "folder":
        for f, image in enumerate(images):
            Image.fromarray(image[..., :3]).save(
                tmp_path / f"frame_{f + 8}.jpg", quality=95
            )  # 8, 9, 10, … in this order
        return tmp_path
    path = tmp_path / f"clip.{kind}"
    if kind == "gif":
        first, *rest = [Image.fromarray(image[..., :3]) for image in images]
        first.save(path, save_all=True, append_images=rest, duration=100)
        return path
    return encoded(path, images, {"mp4": "libx264", "mov": "libx264", "webm": "libvpx-vp9"}[kind], "yuv420p")


def test_every_kind_of_file_gives_its_frames_in_order(opaque: Path) -> None:
    clip = read_clip(opaque)
    frames = frames_of(opaque)
    assert frames.shape == (clip.count, 50, 66, 4) == (6, 50, 66, 4)
    assert clip.size == SIZE and not clip.has_alpha
    assert clip.fps == pytest.approx(24 if opaque.is_dir() else 10)
    assert np.abs(frames[..., :3].astype(int) - drawn()[..., :3]).mean() < 8


def test_the_object_is_cut_out_of_a_plain_background(opaque: Path) -> None:
    found = object_of(read_clip(opaque))
    mask, truth = found[..., 3] > 127, drawn()[..., 3] > 0
    overlap = (mask & truth).sum(axis=(1, 2)) / (mask | truth).sum(axis=(1, 2))
    assert overlap.min() > 0.9


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 176, 64), (128, 128, 128), (10, 10, 12)])
def test_any_plain_colour_is_a_background(tmp_path: Path, background: tuple[int, ...]) -> None:
    images = drawn(3, background)
    for f, image in enumerate(images):
        Image.fromarray(image[..., :3]).save(tmp_path / f"{f}.png")
    found = object_of(read_clip(tmp_path))
    assert np.abs((found[..., 3] > 127) ^ (images[..., 3] > 0)).mean() < 0.02


@pytest.mark.parametrize(("suffix", "codec", "pixels"), [("webm", "libvpx-vp9", "yuva420p"), ("mov", "png", "rgba")])
def test_the_alpha_of_a_clip_is_used_as_it_is(tmp_path: Path, suffix: str, codec: str, pixels: str) -> None:
    clip = read_clip(encoded(tmp_path / f"clip.{suffix}", drawn(), codec, pixels))
    assert clip.has_alpha
    found = object_of(clip)
    assert np.array_equal(found, np.stack(list(clip.frames())))
    assert ((found[..., 3] > 127) ^ (drawn()[..., 3] > 0)).mean() < 0.01


def test_trimming_takes_seconds_and_every_so_many(tmp_path: Path) -> None:
    images = drawn(8)
    for f, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{f}.png")
    clip = read_clip(tmp_path, Trim(start=2 / 24, end=7 / 24, every=2))
    assert np.array_equal(np.stack(list(clip.frames())), images[[2, 4, 6]])
    assert clip.fps == 12 and clip.seconds(1) == pytest.approx(4 / 24)


def test_large_frames_are_reduced(tmp_path: Path) -> None:
    for f, image in enumerate(drawn(2, size=(1100, 300))):
        Image.fromarray(image).save(tmp_path / f"{f}.png")
    clip = read_clip(tmp_path)
    assert next(clip.frames()).shape[:2] == (round(300 * LONGEST / 1100), LONGEST)
    assert clip.size == (1100, 300)


def test_clips_that_cannot_be_used_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    one = tmp_path / "one"
    one.mkdir()
    Image.fromarray(drawn(1)[0]).save(one / "0.png")
    for name, said in (
        ("none.mp4", "does not exist"),
        ("empty", "holds no pictures"),
        ("text.mp4", "cannot be read"),
        ("one", "has 1 frame; a motion needs at least 2"),
    ):
        with pytest.raises(InputError, match=said):
            read_clip(tmp_path / name)
    Image.fromarray(drawn(1)[0]).save(one / "1.png")
    with pytest.raises(InputError, match=r"one ends at 0\.1 s, before --start 5: start earlier\.$"):
        read_clip(one, Trim(5))
    with pytest.raises(InputError, match="must come after"):
        Trim(2, 1)


def test_one_colour_and_a_full_picture_are_told(tmp_path: Path) -> None:
    plain = np.full((2, 40, 60, 4), 200, np.uint8)
    plain[..., 3] = 255
    noise = np.random.default_rng(0).integers(0, 255, (2, 40, 60, 4)).astype(np.uint8)
    noise[..., 3] = 255
    for name, images, said in (("plain", plain, "shows one colour"), ("noise", noise, "plain background")):
        (tmp_path / name).mkdir()
        for f, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{f}.png")
        with pytest.raises(InputError, match=said):
            object_of(read_clip(tmp_path / name))


def test_a_gif_plays_as_long_as_it_says_whatever_its_frames_last(tmp_path: Path) -> None:
    images = drawn(4)
    first, *rest = [Image.fromarray(image[..., :3]) for image in images]
    first.save(tmp_path / "clip.gif", save_all=True, append_images=rest, duration=[100, 300, 100, 100])
    clip = read_clip(tmp_path / "clip.gif")
    assert clip.fps == pytest.approx(10) and clip.count == 6
    shown = [
        int(np.abs(frame[..., :3].astype(int) - images[..., :3]).mean((1, 2, 3)).argmin()) for frame in clip.frames()
    ]
    assert shown == [0, 1, 1, 1, 2, 3]


def by_ffmpeg(*arguments: object) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, arguments)], check=True)


def test_a_phone_video_is_turned_upright(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = drawn()
    images[..., 3] = 255
    flat = encoded(tmp_path / "flat.mp4", images, "libx264", "yuv420p")
    by_ffmpeg("-display_rotation", 90, "-i", flat, "-c", "copy", tmp_path / "phone.mp4")
    clip = read_clip(tmp_path / "phone.mp4")
    assert clip.size == SIZE[::-1] and not caplog.records
    turned = np.rot90(images[0, ..., :3].astype(int))
    assert np.abs(next(clip.frames())[..., :3] - turned).mean() < 8


def test_a_variable_frame_rate_keeps_the_duration(tmp_path: Path) -> None:
    images = drawn(12)
    images[..., 3] = 255
    even = encoded(tmp_path / "even.mp4", images, "libx264", "yuv420p", fps=12)
    # Frames 4 to 7 are left out: frame 3 is shown until frame 8.
    by_ffmpeg("-i", even, "-vf", "select='not(between(n,4,7))'", "-fps_mode", "vfr", tmp_path / "phone.mp4")
    clip = read_clip(tmp_path / "phone.mp4")
    assert clip.count / clip.fps == pytest.approx(1.0, abs=0.15)
    last = list(clip.frames())[-1][..., :3].astype(int)
    assert np.abs(last - images[-1, ..., :3]).mean() < 8


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p"])
def test_ten_bits_and_full_colour_look_the_same(tmp_path: Path, pixels: str) -> None:
    images = drawn()
    images[..., 3] = 255
    codec = "libx265" if pixels.endswith("10le") else "libx264"
    frames = frames_of(encoded(tmp_path / "clip.mp4", images, codec, pixels))
    assert np.abs(frames[..., :3].astype(int) - images[..., :3]).mean() < 8


def test_an_object_that_is_gone_is_told_with_frames(tmp_path: Path) -> None:
    images = drawn(8)
    images[4:, ..., :3] = BLUE
    images[4:, ..., 3] = 0
    for kind in ("opaque", "alpha"):
        (tmp_path / kind).mkdir()
        for f, image in enumerate(images):
            Image.fromarray(image if kind == "alpha" else image[..., :3]).save(tmp_path / kind / f"{f}.png")
        with pytest.raises(WrongClip, match=r"not to be seen any more at 0.17 s \(frame 4\)") as told:
            object_of(read_clip(tmp_path / kind))
        assert len(told.value.frames) == 2


def test_an_object_that_is_away_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    images = drawn(8)
    images[4, ..., :3] = BLUE
    for f, image in enumerate(images):
        Image.fromarray(image[..., :3]).save(tmp_path / f"{f}.png")
    assert len(object_of(read_clip(tmp_path))) == 8
