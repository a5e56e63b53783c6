"""Training clips per second and worker: ours against decoding every frame one by one, in one run.

    python benchmarks/data_loading.py [--data FOLDER] [--repeats 5] [--sizes 256 512]

Both give the same float32 clip of 4 views x 16 of 48 frames x 256² from H.264 files, in one process on one thread.
Without --data a rendered-looking object is encoded at the given sizes. Streaming from a tar.gz is timed as well, and
handing bytes instead of floats from worker to trainer is part of ours, the conversion included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from plain_data import load_clip

from animate3d.mvvdm.data import ClipLoader, build_dataset

CLIPS, VIEWS, FRAMES = 2, 16, 48
_LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
CLIP = {"n_frames": 16, "stride": 3, "size": 256}


def write_data(root: Path, size: int) -> None:
    """A textured ball that turns and moves before grey, encoded as the renderer does."""
    rng = np.random.default_rng(0)
    yy, xx = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    # Patches of a size that gives about the bytes per video of the published archives (30 to 40 kB).
    texture = np.kron(rng.integers(64, 192, (8, 16, 3)), np.ones((32, 32, 1))).astype(np.uint8)
    info = {}
    for clip in range(CLIPS):
        info[f"ball{clip}"] = [{"prompt": "a ball", "elv": 10.0, "azi_start": 0.0, "anim": "00"}]
        for view in range(VIEWS):
            path = root / "videos" / f"ball{clip}" / "00" / f"view_{view}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            with av.open(str(path), "w") as container:
                stream = container.add_stream("libx264", rate=24)
                stream.width = stream.height = size
                stream.pix_fmt = "yuv420p"
                for frame in range(FRAMES):
                    x, y = xx - 0.1 * np.sin(frame / 8 + view), yy - 0.05 * np.cos(frame / 5)
                    inside = x**2 + y**2 < 0.09
                    depth = np.sqrt(np.maximum(0.09 - x**2 - y**2, 0))
                    u = (np.arctan2(x, depth) / np.pi + 0.5 + 0.01 * frame + view / VIEWS) % 1
                    v = np.clip(np.arcsin(np.clip(y / 0.3, -1, 1)) / np.pi + 0.5, 0, 0.999)
                    image = np.full((size, size, 3), 128, dtype=np.uint8)
                    image[inside] = texture[(v * 256).astype(int), (u * 512).astype(int)][inside]
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
                container.mux(stream.encode(None))
    (root / "uid_info_dict.json").write_text(json.dumps(info))


def rates(work: dict[str, Callable[[], int]], repeats: int) -> dict[str, dict[str, float]]:
    """Median clips per second of wall-clock and of processor time; the variants take turns."""
    wall: dict[str, list[float]] = {name: [] for name in work}
    processor: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, run in work.items():
            start = time.perf_counter(), time.process_time()
            clips = run()
            wall[name].append(clips / (time.perf_counter() - start[0]))
            processor[name].append(clips / (time.process_time() - start[1]))
    return {
        name: {
            "clips_per_s": round(statistics.median(wall[name]), 2),
            "clips_per_cpu_s": round(statistics.median(processor[name]), 2),
        }
        for name in work
    }


def measure(root: Path, repeats: int) -> dict[str, Any]:
    """Ours from files, ours streamed, and the plain way, on one data set."""
    dataset = build_dataset(root, sample_size=CLIP["size"])
    loader = ClipLoader(dataset)
    records = {record.key: record for record in dataset.records}
    archive = root / "archive" / "x.tar.gz"
    if not archive.is_file():
        archive.parent.mkdir()
        (archive.parent / "uid_info_dict.json").write_bytes((root / "uid_info_dict.json").read_bytes())
        with tarfile.open(archive, "w:gz") as tar:
            for path in sorted((root / "videos").glob("*/*/*.mp4")):
                tar.add(path, arcname=path.relative_to(root))
    streamed = ClipLoader(build_dataset(archive, sample_size=CLIP["size"]))

    chosen = []
    for batch in loader:
        record = records[batch["key"][0]]
        videos = [record.video(int(view)) for view in batch["views"][0]]
        plain = load_clip(videos, int(batch["frames"][0, 0]), **CLIP)
        assert plain.shape == batch["pixel_values"][0].shape
        chosen.append((videos, int(batch["frames"][0, 0])))
        # Brightness only: the plain way widens the halved colour planes before it scales the image down again.
        difference = ((plain - batch["pixel_values"][0]) * _LUMA).sum(dim=2).abs().mean() * 127.5
        assert difference < 3, f"the clips differ by {difference:.2f} levels"
    work = {
        "ours": lambda: sum(len(batch["key"]) for batch in loader),
        "ours_from_tar_gz": lambda: sum(len(batch["key"]) for batch in streamed),
        "every_frame": lambda: len([load_clip(videos, offset, **CLIP) for videos, offset in chosen]),
    }
    result: dict[str, Any] = dict(rates(work, repeats))
    for name in ("clips_per_s", "clips_per_cpu_s"):
        result[f"ratio_{name}"] = round(result["ours"][name] / result["every_frame"][name], 2)
    result["kilobytes_per_video"] = round(
        np.mean([p.stat().st_size for p in (root / "videos").glob("*/*/*.mp4")]) / 1024, 1
    )
    return result


def main(argv: list[str] | None = None) -> int:
    """Print the rates as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder in MV-Video's layout instead of made-up videos")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="sides of the made-up videos")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        if args.data:
            copy = Path(folder) / "data"
            copy.mkdir()
            (copy / "videos").symlink_to((args.data / "videos").resolve())
            (copy / "uid_info_dict.json").write_bytes((args.data / "uid_info_dict.json").read_bytes())
            results[str(args.data.name)] = measure(copy, args.repeats)
        else:
            for size in args.sizes:
                write_data(Path(folder) / str(size), size)
                results[f"{size}px"] = measure(Path(folder) / str(size), args.repeats)
    print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
