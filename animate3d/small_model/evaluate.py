"""Measure the bundled model on creatures it has not seen: the clips, and the animations made from them.

python -m animate3d.small_model.evaluate --data outputs/bundled/data --out outputs/bundled/evaluation
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from animate3d.bundled_model.folder import VIEWS, bundled_model_folder
from animate3d.cameras import reconstruction_cameras
from animate3d.errors import InputError, run_command
from animate3d.evaluation.clip_metrics import ClipScore, VideoArray, score_clip, score_trajectory
from animate3d.files import write_json
from animate3d.frames import composite, contact_sheet, save_image
from animate3d.mvvdm.convert import load_converted
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.presets import PRESETS
from animate3d.runs.videos import preset_videos
from animate3d.small_model.cases import Subject, load_subjects
from animate3d.small_model.report import summary, write_report

SHEETS, PICTURES = "clips", "pictures"
_PICTURE_SIZE = 96
_SHEET_SCALE = 2


def generate(
    pipeline: MultiViewVideoPipeline,
    first: VideoArray,
    prompts: list[str],
    *,
    seed: int,
    steps: int,
    guidance_scale: float,
) -> list[VideoArray]:
    """One clip per prompt from the same four images ``[V, 1, H, W, 3]``."""
    images = [Image.fromarray((view[0] * 255).round().astype(np.uint8)) for view in first]
    preset = PRESETS["laptop"]
    (frames,) = pipeline(
        prompt=prompts,
        images=[images] * len(prompts),
        height=preset.sampler.size,
        width=preset.sampler.size,
        num_frames=preset.sampler.frames,
        num_inference_steps=steps,
        guidance_scale=guidance_scale,
        generator=[torch.Generator().manual_seed(seed + index) for index in range(len(prompts))],
        output_type="np",
        return_dict=False,
    )
    # Frame 0 is the condition itself; what the decoder makes of it is not what moves.
    clips = [clip.astype(np.float32) for clip in frames]
    for clip in clips:
        clip[:, 0] = first[:, 0]
    return clips


def evaluate_clips(
    pipeline: MultiViewVideoPipeline,
    subjects: list[Subject],
    out: Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    guidance_scale: float | None = None,
) -> list[dict[str, Any]]:
    """Generate every motion of every subject; one row per clip, a contact sheet per subject."""
    preset = PRESETS["laptop"]
    steps = preset.sampler.steps if steps is None else steps
    scale = preset.sampler.guidance_scale if guidance_scale is None else guidance_scale
    rows = []
    for number, subject in enumerate(tqdm(subjects, desc="clips", unit="creature")):
        truths = subject.videos()
        made = generate(
            pipeline, truths[0][:, :1], subject.prompts, seed=seed + 100 * number, steps=steps, guidance_scale=scale
        )
        for index, clip in enumerate(made):
            score: ClipScore = score_clip(clip, truths, index)
            rows.append(
                {
                    "uid": subject.uid,
                    "family": subject.family,
                    "motion": subject.motions[index],
                    "prompt": subject.prompts[index],
                    "choices": len(truths),
                    "right": score.nearest == index,
                    "right_or_static": score.nearest_or_static == index,
                    **asdict(score),
                }
            )
        save_image(out / SHEETS / f"{subject.uid}.png", _sheet(truths, made))
    return rows


def evaluate_animations(
    subjects: list[Subject], out: Path, cases: int, seed: int, given: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Animate creatures with the one command and compare with the true motion; finished cases are kept.

    Args:
        given: settings of the videos in place of the preset's, where they are not None.
    """
    from animate3d.runs.mesh import AnimateOptions, animate

    rows = []
    pairs = [(subject, index) for subject in subjects for index in range(len(subject.motions))]
    for subject, index in tqdm(pairs[:cases], desc="animations", unit="case"):
        folder = out / "animations" / f"{subject.uid}_{subject.motions[index]}"
        video = preset_videos(subject.prompts[index], PRESETS["laptop"], **given)
        result = animate(
            AnimateOptions(
                subject.folder,
                None,
                folder,
                formats=("glb",),
                video=video,
                seed=seed,
                rigidity=PRESETS["laptop"].rigidity,
            ),
        )
        placement = subject.mesh().automatic_placement()
        placed = np.asarray(placement.apply(result.trajectory.positions.astype(np.float64)))
        save_image(out / PICTURES / f"{folder.name}.png", _beside_truth(subject, index, placed))
        rows.append(
            {
                "uid": subject.uid,
                "family": subject.family,
                "motion": subject.motions[index],
                "folder": str(folder.relative_to(out)),
                "picture": f"{PICTURES}/{folder.name}.png",
                "displacement": result.mean_displacement,
                **asdict(score_trajectory(placed, subject.positions[index].astype(np.float64))),
            }
        )
    return rows


def _sheet(truths: list[VideoArray], made: list[VideoArray]) -> np.ndarray:
    """For every motion two views of the truth and below them the same of the clip. ``[H', W', 3]``"""
    rows = []
    for truth, clip in zip(truths, made, strict=True):
        for video in (truth, clip):
            rows.append(np.concatenate([np.concatenate(list(video[v]), axis=1) for v in (0, 1)], axis=1))
    sheet = Image.fromarray((np.concatenate(rows) * 255).round().astype(np.uint8))
    return np.asarray(sheet.resize((_SHEET_SCALE * sheet.width, _SHEET_SCALE * sheet.height), Image.Resampling.BICUBIC))


def _beside_truth(subject: Subject, index: int, placed: np.ndarray) -> np.ndarray:
    """Two views of the true motion above the same of placed positions ``[F, N, 3]``. ``[H', W', 3]``"""
    mesh, cameras = subject.mesh(), reconstruction_cameras(VIEWS, _PICTURE_SIZE)
    rows = []
    for positions in (subject.positions[index].astype(np.float64), placed):
        drawn = torch.from_numpy(render_mesh(mesh, positions, cameras)[:2]).float() / 255
        rows.append(np.concatenate([contact_sheet(view[None]) for view in composite(drawn, 0.5).numpy()], axis=1))
    return (np.concatenate(rows) * 255).round().astype(np.uint8)


_EXAMPLES = """examples:
  python -m animate3d.small_model.evaluate --data outputs/bundled/data --out outputs/bundled/evaluation
  python -m animate3d.small_model.evaluate --training outputs/bundled --cases 15 ...  # a training under way
"""


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m animate3d.small_model.evaluate",
        description="Measure the bundled model on held-out creatures.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of `animate3d data synthesize`")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables and pictures")
    parser.add_argument("--cases", type=int, default=63, help="clips, all motions of as many creatures (default 63)")
    parser.add_argument("--animations", type=int, help="of them also animated (default 42; none with --training)")
    parser.add_argument("--model", type=Path, help="folder of `--stages export` (default: the bundled model)")
    parser.add_argument(
        "--training", type=Path, metavar="DIR", help="measure the clips of a training's newest checkpoint"
    )
    parser.add_argument("--steps", type=int, help="denoising steps (default: the preset's)")
    parser.add_argument("--guidance-scale", type=float, help="default: the preset's")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    if options.training is not None and options.animations:
        raise InputError("--training measures clips only: leave out --animations, or export the model for --model.")
    count = options.animations if options.animations is not None else 0 if options.training is not None else 42
    if options.training is not None:
        from animate3d.small_model.export import trained_pipeline

        pipeline, _ = trained_pipeline(options.training)
    else:
        pipeline = load_converted(options.model or bundled_model_folder())
    pipeline.set_progress_bar_config(disable=True)
    subjects = load_subjects(options.data, options.cases)
    clips = evaluate_clips(
        pipeline,
        subjects,
        options.out,
        seed=options.seed,
        steps=options.steps,
        guidance_scale=options.guidance_scale,
    )
    write_report(options.out, clips, [])  # the animations take much longer
    given = {"weights": options.model, "steps": options.steps, "guidance_scale": options.guidance_scale}
    animations = evaluate_animations(subjects, options.out, count, options.seed, given)
    facts = {"summary": summary(clips, animations), "clips": clips, "animations": animations}
    write_json(options.out / "evaluation.json", facts)
    sys.stdout.write(write_report(options.out, clips, animations).read_text())
    return 0


if __name__ == "__main__":
    run_command(main)
