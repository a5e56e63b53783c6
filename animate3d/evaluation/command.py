"""`animate3d evaluate`: measure the objects of a test set and write one table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from animate3d.errors import Animate3DError, InputError, MissingDependencyError, run_command
from animate3d.evaluation.measure import SIZE, Measurement, measure
from animate3d.evaluation.plots import plot_frames, plot_metrics, save_sheet
from animate3d.evaluation.table import write_csv, write_markdown
from animate3d.evaluation.testset import STAGES, Checkpoint, TestObject, find_checkpoint, read_testset
from animate3d.evaluation.vbench import Subject, vbench

_EXAMPLES = """examples:
  animate3d evaluate --testset data/animate3d/testset --results outputs/animate3d --out outputs/evaluation
  animate3d evaluate --testset data/animate3d/testset --results outputs/animate3d --stage recon --objects butterfly \\
      --out outputs/evaluation_recon
  animate3d evaluate --checkpoint outputs/dragon/work/mesh/object/ckpts/last.ckpt --videos data/demo/frames/wing_flap \\
      --out outputs/dragon/evaluation

Writes evaluation.csv, evaluation.md, metrics.png, frames.png and sheets/<object>.png. Renders of Gaussian step 4 are
used when they are newer than the checkpoint; otherwise the views are rendered into renders/. docs/evaluation.md has the
metrics, and how to measure VBench's.
"""


@dataclass(frozen=True)
class EvaluateOptions:
    """What to evaluate; the command's flags have the same names.

    Attributes:
        out: gets the table.
        testset, results: folders of the objects and of their trainings.
        stage: "recon" or "refine"; None takes refine where every object has it.
        objects: names; all of the test set when empty.
        checkpoint, videos: a single model in place of a test set.
        frames: number that the videos must have; None takes theirs.
        size: pixels of the renders; None takes what is there.
        vbench_videos, vbench_python, vbench_weights: see `vbench.vbench`.
    """

    out: Path
    testset: Path | None = None
    results: Path | None = None
    stage: str | None = None
    objects: tuple[str, ...] = ()
    checkpoint: Path | None = None
    videos: Path | None = None
    frames: int | None = None
    size: int | None = None
    vbench_videos: Path | None = None
    vbench_python: Path | None = None
    vbench_weights: Path | None = None

    def __post_init__(self) -> None:
        single, whole = (self.checkpoint, self.videos), (self.testset, self.results)
        if not (all(single) and not any(whole)) and not (all(whole) and not any(single)):
            raise InputError("Give --testset and --results, or --checkpoint and --videos of a single model.")
        if self.size is not None and self.size < 32:
            raise InputError(f"--size is {self.size}; renders need at least 32 pixels.")


def evaluate(options: EvaluateOptions, announce: Callable[[str], None] = lambda line: None) -> list[Measurement]:
    """Measure every object and write the table; an object of a test set that fails is in it with the reason.

    Raises:
        Animate3DError: the flags do not fit together, or the single model cannot be measured.
    """
    subjects, stage = _subjects(options)
    measurements = []
    for subject in tqdm(subjects, desc="objects", unit="object", disable=len(subjects) < 2):
        try:
            checkpoint = subject.checkpoint()
            found = measure(
                subject.item.name,
                checkpoint,
                subject.item.videos,
                saved=subject.saved,
                folder=options.out / "renders" / subject.item.name,
                frames=options.frames,
                size=options.size,
                announce=announce,
            )
        except Animate3DError as error:
            if options.checkpoint is not None:
                raise  # a table of nothing would replace an earlier one
            announce(f"{subject.item.name}: {error}")
            found = Measurement(subject.item.name, failure=str(error))
        measurements.append(found)
    if all(m.failure for m in measurements):  # an earlier table stays
        raise Animate3DError(f"Nothing could be measured. {measurements[0].name}: {measurements[0].failure}")
    prompts = {subject.item.name: subject.item.prompt or subject.item.name for subject in subjects}
    results = vbench(
        [Subject(m.name, prompts[m.name], m.renders, m.frames) for m in measurements if m.renders],
        options.vbench_videos,
        options.vbench_python,
        options.vbench_weights,
        options.out / "vbench",
        announce,
    )
    for m in measurements:
        m.values |= results.values.get(m.name, {})
    pictures = _pictures(options.out, measurements, {s.item.name: s.item.videos for s in subjects}, announce)
    write_csv(options.out / "evaluation.csv", measurements, stage)
    write_markdown(options.out / "evaluation.md", measurements, stage, results.reasons, pictures)
    return measurements


@dataclass(frozen=True)
class _Subject:
    item: TestObject
    checkpoint: Callable[[], Checkpoint]
    saved: Path | None = None


def _subjects(options: EvaluateOptions) -> tuple[list[_Subject], str]:
    if options.checkpoint is not None and options.videos is not None:
        checkpoint = Checkpoint.at(options.checkpoint)
        trial = checkpoint.path.absolute().parent.parent
        item = TestObject(trial.name, checkpoint.path, options.videos)
        return [_Subject(item, lambda: checkpoint)], trial.parent.name
    assert options.testset is not None and options.results is not None
    results = options.results
    items = read_testset(options.testset, options.objects)
    stage = options.stage or _latest_stage(results, items)

    def subject(item: TestObject) -> _Subject:
        saved = results / f"{stage}_testset" / item.name / "save" / "images"
        return _Subject(item, lambda: find_checkpoint(results, stage, item.name), saved)

    return [subject(item) for item in items], stage


def _latest_stage(results: Path, items: Sequence[TestObject]) -> str:
    refined = all((results / "refine" / item.name / "ckpts").is_dir() for item in items)
    return "refine" if refined else "recon"


def _pictures(
    out: Path, measurements: Sequence[Measurement], videos: dict[str, Path], announce: Callable[[str], None]
) -> list[Path]:
    done = [m for m in measurements if not m.failure]
    if not done:
        return []
    pictures = []
    try:
        pictures = [plot_metrics(out / "metrics.png", done), plot_frames(out / "frames.png", done)]
    except MissingDependencyError as error:
        announce(f"no plots: {error}")
    return pictures + [save_sheet(out / "sheets" / f"{m.name}.png", m, videos[m.name]) for m in done]


def names(text: str | None) -> tuple[str, ...]:
    """The parts of a comma-separated flag."""
    return tuple(part for part in (text or "").replace(",", " ").split() if part)


def main(argv: list[str] | None = None) -> int:
    """Command line; the exit code is 1 when an object could not be measured."""
    parser = argparse.ArgumentParser(
        prog="animate3d evaluate",
        description="Measure animated Gaussian models and write one table beside published figures.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets the table and the pictures")
    whole = parser.add_argument_group("a test set")
    whole.add_argument(
        "--testset", type=Path, metavar="DIR", help="pretrained_gaussian/<name>.ply, tracking_rgba_images/<name>/"
    )
    whole.add_argument("--results", type=Path, metavar="DIR", help="recon/<name>, refine/<name>: outputs/animate3d")
    whole.add_argument("--stage", choices=STAGES, help="default: refine if every object has it, else recon")
    whole.add_argument("--objects", metavar="NAMES", help="only these, comma-separated")
    single = parser.add_argument_group("a single model")
    single.add_argument("--checkpoint", type=Path, metavar="FILE", help="in the folder of its training")
    single.add_argument("--videos", type=Path, metavar="DIR", help="four videos {v*F+f}.png that it should look like")
    parser.add_argument("--frames", type=int, help="that every video must have (default: as many as there are)")
    parser.add_argument("--size", type=int, help=f"pixels of the renders (default: as saved, else {SIZE})")
    vbench_flags = parser.add_argument_group("VBench")
    vbench_flags.add_argument("--vbench-videos", type=Path, metavar="DIR", help="write videos for VBench, read results")
    vbench_flags.add_argument("--vbench-python", type=Path, metavar="FILE", help="Python with vbench==0.1.5; runs it")
    vbench_flags.add_argument("--vbench-weights", type=Path, metavar="DIR", help="default ~/.cache/vbench")
    given = parser.parse_args(argv)
    options = EvaluateOptions(**{**vars(given), "objects": names(given.objects)})
    measurements = evaluate(options, announce=tqdm.write)
    tqdm.write((options.out / "evaluation.md").read_text().split("\n## ")[0])
    tqdm.write(f"table: {options.out / 'evaluation.md'} and evaluation.csv")
    return int(any(m.failure for m in measurements))


if __name__ == "__main__":
    run_command(main)
