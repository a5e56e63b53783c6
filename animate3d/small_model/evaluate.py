"""Measure the bundled model on objects it has not seen: do its clips show the motion that was asked for?

python -m animate3d.small_model.evaluate --out outputs/bundled/evaluation
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from animate3d.bundled_model.folder import FRAMES, SIZE, VIEWS, bundled_model_folder
from animate3d.errors import run_command
from animate3d.evaluation.clip_metrics import VideoArray, score_clip
from animate3d.files import write_json
from animate3d.frames import save_image
from animate3d.mvvdm.convert import load_converted
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.runs.presets import PRESETS
from animate3d.small_model.cases import Case, family_cases, figure_cases
from animate3d.small_model.data.points import draw_points
from animate3d.small_model.report import summary, write_report

SHEETS = "clips"
_SHEET_SCALE, _SHEET_STEP = 2, 3


@dataclass(frozen=True)
class Sampling:
    """How clips are sampled.

    Attributes:
        steps: denoising steps.
        guidance: scale of the guidance.
        guided: steps that have guidance; None for all.
        seed: of the noise.
        batch: cases at a time.
    """

    steps: int
    guidance: float
    guided: int | None
    seed: int = 0
    batch: int = 1


def true_videos(case: Case, device: torch.device) -> list[VideoArray]:
    """The clip of every motion that competes."""
    positions = torch.from_numpy(case.positions).to(device)
    colors = torch.from_numpy(case.colors).to(device)[None]
    drawn = [draw_points(each[None], colors, views=VIEWS, size=SIZE).pixels[0] for each in positions]
    return [(video.movedim(2, -1).float() / 255).cpu().numpy() for video in drawn]


def generate(
    pipeline: MultiViewVideoPipeline, firsts: Sequence[VideoArray], prompts: list[str], seeds: list[int], how: Sampling
) -> list[VideoArray]:
    """One clip per prompt, each from its own four images ``[V, H, W, 3]`` and with noise of its own seed."""
    (frames,) = pipeline(
        prompt=prompts,
        images=[[Image.fromarray((view * 255).round().astype(np.uint8)) for view in first] for first in firsts],
        height=SIZE,
        width=SIZE,
        num_frames=FRAMES,
        num_inference_steps=how.steps,
        guidance_scale=how.guidance,
        guided_steps=how.guided,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="np",
        return_dict=False,
    )
    clips = [clip.astype(np.float32) for clip in frames]
    for clip, first in zip(clips, firsts, strict=True):
        clip[:, 0] = first  # the condition itself; what the decoder makes of it is not what moves
    return clips


def evaluate_clips(
    pipeline: MultiViewVideoPipeline, cases: Iterator[Case], count: int, out: Path, how: Sampling, sheets: int = 60
) -> list[dict[str, Any]]:
    """Generate the clip of every case; one row each, and contact sheets of the first ones."""
    device = pipeline.unet.device
    rows: list[dict[str, Any]] = []
    with tqdm(total=count, desc="clips", mininterval=5) as bar:
        while group := list(itertools.islice(cases, how.batch)):
            truths = [true_videos(case, device) for case in group]
            seeds = [1000 * how.seed + len(rows) + index for index in range(len(group))]
            firsts = [videos[0][:, 0] for videos in truths]
            made = generate(pipeline, firsts, [case.prompt for case in group], seeds, how)
            for case, videos, clip in zip(group, truths, made, strict=True):
                if len(rows) < sheets:
                    save_image(out / SHEETS / f"{case.uid}.png", _sheet(videos[0], clip))
                rows.append(_row(case, videos, clip))
            bar.update(len(group))
    return rows


def _row(case: Case, videos: list[VideoArray], clip: VideoArray) -> dict[str, Any]:
    score = score_clip(clip, videos, 0)
    taken = "still" if score.nearest_or_static < 0 else case.moves[score.nearest]
    return {
        "uid": case.uid,
        "kind": case.kind,
        "group": case.group,
        "move": case.moves[0],
        "prompt": case.prompt,
        "facing": round(case.facing, 1),
        "choices": len(videos),
        "right": score.nearest == 0,
        "right_or_static": score.nearest_or_static == 0,
        "taken_for": taken,
        **asdict(score),
    }


def _sheet(truth: VideoArray, clip: VideoArray) -> np.ndarray:
    """Two views of the truth and below them the same of the clip. ``[H', W', 3]``"""
    rows = [
        np.concatenate([np.concatenate(list(video[v, ::_SHEET_STEP]), axis=1) for v in (0, 1)], axis=1)
        for video in (truth, clip)
    ]
    sheet = Image.fromarray((np.concatenate(rows).clip(0, 1) * 255).round().astype(np.uint8))
    return np.asarray(sheet.resize((_SHEET_SCALE * sheet.width, _SHEET_SCALE * sheet.height), Image.Resampling.BICUBIC))


_EXAMPLES = """examples:
  python -m animate3d.small_model.evaluate --out outputs/bundled/evaluation
  python -m animate3d.small_model.evaluate --training outputs/bundled --cases 20 --families 0 --out outputs/so_far
"""


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m animate3d.small_model.evaluate",
        description="Measure the bundled model on held-out objects.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sampler = PRESETS["laptop"].sampler
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables and pictures")
    parser.add_argument("--cases", type=int, default=300, help="of random figures (default 300)")
    parser.add_argument("--families", type=int, default=42, help="of the seven families (default 42)")
    parser.add_argument("--model", type=Path, help="folder of `--stages export` (default: the bundled model)")
    parser.add_argument("--training", type=Path, metavar="DIR", help="measure the newest weights of a training instead")
    parser.add_argument("--steps", type=int, default=sampler.steps, help="denoising steps (default: the preset's)")
    parser.add_argument("--guidance-scale", type=float, default=sampler.guidance_scale, help="default: the preset's")
    parser.add_argument("--guided-steps", type=int, help="steps that have guidance (default: all)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=1, help="cases at a time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    if options.training is not None:
        from animate3d.small_model.export import trained_pipeline

        pipeline = trained_pipeline(options.training)
    else:
        pipeline = load_converted(options.model or bundled_model_folder())
    pipeline.to(options.device)
    pipeline.set_progress_bar_config(disable=True)
    how = Sampling(options.steps, options.guidance_scale, options.guided_steps, options.seed, options.batch)
    drawn = itertools.chain(family_cases(options.families, options.seed), figure_cases(options.cases, options.seed))
    rows = evaluate_clips(pipeline, drawn, options.families + options.cases, options.out, how)
    write_json(options.out / "evaluation.json", {"summary": summary(rows), "sampling": asdict(how), "clips": rows})
    sys.stdout.write(write_report(options.out, rows).read_text())
    return 0


if __name__ == "__main__":
    run_command(main)
