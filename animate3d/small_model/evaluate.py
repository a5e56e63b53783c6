"""Measure the bundled model on objects it has not seen: its clips, and the animations that are made from them.

Every case is kept, and an evaluation that was stopped goes on.

python -m animate3d.small_model.evaluate --out outputs/bundled/evaluation
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from animate3d.bundled_model.folder import FRAMES, SIZE, bundled_model_folder
from animate3d.errors import InputError, run_command
from animate3d.evaluation.clip_metrics import VideoArray, score_clip
from animate3d.files import read_json, write_json
from animate3d.frames import save_image
from animate3d.mvvdm.convert import load_converted
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.runs.presets import PRESETS
from animate3d.small_model.acts import (
    FACINGS,
    facing_acts,
    family_acts,
    figure_acts,
    foreign_acts,
    foreign_meshes,
    turns,
)
from animate3d.small_model.adverbs import adverb_row
from animate3d.small_model.animations import animation_rows
from animate3d.small_model.cases import Case, Trained, casts, drawn_clip, family_cases, figure_cases, trained_with
from animate3d.small_model.report import summary, write_report
from animate3d.small_model.rows import Row, remembered, row_file

SHEETS, ADVERBS = "clips", "adverbs"
_SHEETS, _SHEET_SCALE, _SHEET_STEP = 60, 2, 3


@dataclass(frozen=True)
class Sampling:
    """How clips are sampled: in so many denoising steps, the first ``guided`` of which (None: all) have guidance."""

    steps: int
    guidance: float
    guided: int | None
    frames: int = FRAMES
    seed: int = 0
    batch: int = 1  # cases at a time


def generate(
    pipeline: MultiViewVideoPipeline, firsts: Sequence[VideoArray], prompts: list[str], seeds: list[int], how: Sampling
) -> list[VideoArray]:
    """One clip per prompt, each from its own four images ``[V, H, W, 3]`` and with noise of its own seed."""
    (frames,) = pipeline(
        prompt=prompts,
        images=[[Image.fromarray((view * 255).round().astype(np.uint8)) for view in first] for first in firsts],
        height=SIZE,
        width=SIZE,
        num_frames=how.frames,
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
    pipeline: MultiViewVideoPipeline, cases: Iterator[Case], count: int, out: Path, how: Sampling
) -> list[Row]:
    """Generate the clip of every case that has no row yet; one row each, and contact sheets of the first ones."""
    device = pipeline.unet.device
    rows: list[Row] = []
    with tqdm(total=count, desc="clips", mininterval=5) as bar:
        while group := list(itertools.islice(cases, how.batch)):
            numbers = range(len(rows), len(rows) + len(group))
            if not all(row_file(out, SHEETS, case.uid).is_file() for case in group):
                truths = [[drawn_clip(each, case.colors, device) for each in case.positions] for case in group]
                firsts = [videos[0][:, 0] for videos in truths]
                prompts, seeds = [case.prompt for case in group], [1000 * how.seed + number for number in numbers]
                made = generate(pipeline, firsts, prompts, seeds, how)
                for number, case, videos, clip in zip(numbers, group, truths, made, strict=True):
                    if number < _SHEETS:
                        save_image(out / SHEETS / f"{case.uid}.png", _sheet(videos[0], clip))
                    score = score_clip(clip, videos, 0)
                    write_json(row_file(out, SHEETS, case.uid), {**case.row(score), **asdict(score)})
            rows += [read_json(row_file(out, SHEETS, case.uid)) for case in group]
            bar.update(len(group))
    return rows


def evaluate_adverbs(
    pipeline: MultiViewVideoPipeline, count: int, out: Path, how: Sampling, seed: int = 0
) -> list[Row]:
    """What adverbs change in the clips of some figures whose moves have an amplitude; one row per figure."""
    graded = (cast for cast in casts(2 * count, seed + 1) if cast.wanted.graded)

    def same_start(first: VideoArray, prompts: list[str]) -> list[VideoArray]:
        return [generate(pipeline, [first], [prompt], [how.seed], how)[0] for prompt in prompts]

    return [
        remembered(out, ADVERBS, cast.uid, lambda cast=cast: adverb_row(cast, same_start))  # type: ignore[misc]
        for cast in tqdm(itertools.islice(graded, count), total=count, desc="adverbs", mininterval=5)
    ]


def evaluate_animations(options: argparse.Namespace, trained: Trained) -> list[Row]:
    """The whole command on figures and creatures, on figures in eight facings, and on foreign meshes."""
    half, seed = options.animations if trained.families_only else options.animations // 2, options.seed
    acts = turns([figure_acts(options.animations - half, seed), family_acts(half, seed, trained)])
    rows = animation_rows(acts, options.animations, options.out, options.model, seed)
    if options.meshes is not None:
        count = options.moves * len(foreign_meshes(options.meshes))
        foreign = foreign_acts(options.meshes, options.moves, seed)
        rows += animation_rows(foreign, count, options.out, options.model, seed)
    turned = facing_acts(options.facings, seed)
    return rows + animation_rows(turned, len(FACINGS) * options.facings, options.out, options.model, seed)


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
  python -m animate3d.small_model.evaluate --cases 0 --families 0 --animations 60 --meshes meshes --out outputs/whole
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m animate3d.small_model.evaluate",
        description="Measure the bundled model on held-out objects.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sampler = PRESETS["laptop"].sampler
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables and pictures")
    parser.add_argument("--cases", type=int, help="clips of random figures (default 300; 0 if it knows families only)")
    parser.add_argument("--families", type=int, default=42, help="clips of the seven families (default 42)")
    parser.add_argument("--adverbs", type=int, default=0, metavar="N", help="figures whose moves get adverbs")
    parser.add_argument("--animations", type=int, default=0, metavar="N", help="meshes that are animated as users do")
    parser.add_argument("--facings", type=int, default=0, metavar="N", help="of them in eight facings")
    parser.add_argument("--meshes", type=Path, metavar="DIR", help="meshes from elsewhere, animated too")
    parser.add_argument("--moves", type=int, default=3, metavar="N", help="of each of those meshes (default 3)")
    parser.add_argument("--model", type=Path, help="folder of `--stages export` (default: the bundled model)")
    parser.add_argument("--training", type=Path, metavar="DIR", help="measure the newest weights of a training instead")
    parser.add_argument("--steps", type=int, default=sampler.steps, help="of the clips (default: the preset's)")
    parser.add_argument("--guidance-scale", type=float, default=sampler.guidance_scale, help="default: the preset's")
    parser.add_argument("--guided-steps", type=int, default=sampler.guided_steps, help="default: the preset's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=1, help="cases at a time")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    options = _parser().parse_args(argv)
    if options.training is not None:
        if options.animations or options.facings or options.meshes:
            raise InputError("--training measures clips only: export the model and give its folder as --model.")
        from animate3d.small_model.export import trained_pipeline

        pipeline, trained = trained_pipeline(options.training), Trained()
    else:
        folder = options.model or bundled_model_folder()
        pipeline, trained = load_converted(folder), trained_with(folder)
    if trained.families_only and (options.cases or options.adverbs or options.facings or options.meshes):
        raise InputError("This model knows the seven families only: --families and --animations measure it.")
    if options.cases is None:
        options.cases = 0 if trained.families_only else 300
    pipeline.to(options.device)
    pipeline.set_progress_bar_config(disable=True)
    how = Sampling(
        options.steps, options.guidance_scale, options.guided_steps, trained.frames, options.seed, options.batch
    )
    creatures = family_cases(options.families, options.seed, trained)
    drawn = itertools.chain(creatures, figure_cases(options.cases, options.seed))
    clips = evaluate_clips(pipeline, drawn, options.families + options.cases, options.out, how)
    adverbs = evaluate_adverbs(pipeline, options.adverbs, options.out, how, options.seed)
    animations = evaluate_animations(options, trained)
    write_json(
        options.out / "evaluation.json",
        {
            "summary": summary(clips, animations, adverbs),
            "sampling": asdict(how),
            "clips": clips,
            "adverbs": adverbs,
            "animations": animations,
        },
    )
    sys.stdout.write(write_report(options.out, clips, animations, adverbs).read_text())
    return 0


if __name__ == "__main__":
    run_command(main)
