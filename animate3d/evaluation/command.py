"""`animate3d evaluate`: measure the objects of a test set and write one table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from animate3d.cluster import each
from animate3d.errors import Animate3DError, MissingDependencyError, run_command
from animate3d.evaluation.measure import Measurement, measure
from animate3d.evaluation.options import EvaluateOptions, options_of
from animate3d.evaluation.plots import plot_frames, plot_metrics, save_sheet
from animate3d.evaluation.table import write_csv, write_markdown
from animate3d.evaluation.testset import Checkpoint, TestObject, find_checkpoint, read_testset
from animate3d.evaluation.vbench import Subject, vbench


def evaluate(options: EvaluateOptions, announce: Callable[[str], None] = lambda line: None) -> list[Measurement]:
    """Measure every object and write the table; an object of a test set that fails is in it with the reason.

    Raises:
        Animate3DError: the flags do not fit together, or the single model cannot be measured.
    """
    subjects, stage = _subjects(options)
    measurements = [_measured((options, subjects[0], announce))] if options.checkpoint is not None else []
    if not measurements:  # objects that fail, one by one
        measurements = _measure_all(options, subjects, announce)
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
    """An object, and where its checkpoint is: a file, or the folder of a stage's results."""

    item: TestObject
    file: Path | None = None
    results: Path | None = None
    stage: str = ""

    def checkpoint(self) -> Checkpoint:
        if self.file is not None:
            return Checkpoint.at(self.file)
        assert self.results is not None
        return find_checkpoint(self.results, self.stage, self.item.name)

    @property
    def saved(self) -> Path | None:
        """Where the documented step leaves renders."""
        return self.results and self.results / f"{self.stage}_testset" / self.item.name / "save" / "images"


def _measured(task: tuple[EvaluateOptions, _Subject, Callable[[str], None]]) -> Measurement:
    options, subject, announce = task
    return measure(
        subject.item.name,
        subject.checkpoint(),
        subject.item.videos,
        saved=subject.saved,
        folder=options.out / "renders" / subject.item.name,
        frames=options.frames,
        size=options.size,
        announce=announce,
    )


def _measure_all(
    options: EvaluateOptions, subjects: Sequence[_Subject], announce: Callable[[str], None]
) -> list[Measurement]:
    """In the order of the objects, with the reason where one cannot be measured."""
    tell = announce if options.ray is None else _silent
    tasks = {subject.item.name: (options, subject, tell) for subject in subjects}
    ends = each(_measured, tasks, options.ray, gpu=True)
    found = {}
    for ended in tqdm(ends, total=len(tasks), desc="objects", unit="object", disable=len(tasks) < 2):
        if ended.error is not None:
            announce(f"{ended.key}: {ended.error}")
        found[ended.key] = ended.facts or Measurement(ended.key, failure=ended.error or "")
    return [found[name] for name in tasks]


def _silent(line: str) -> None:
    """In place of a terminal, which the workers of a cluster do not have."""


def _subjects(options: EvaluateOptions) -> tuple[list[_Subject], str]:
    if options.checkpoint is not None and options.videos is not None:
        path = Checkpoint.at(options.checkpoint).path
        trial = path.absolute().parent.parent
        return [_Subject(TestObject(trial.name, path, options.videos), path)], trial.parent.name
    assert options.testset is not None and options.results is not None
    results = options.results
    items = read_testset(options.testset, options.objects)
    stage = options.stage or _latest_stage(results, items)
    return [_Subject(item, results=results, stage=stage) for item in items], stage


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


def main(argv: list[str] | None = None) -> int:
    """Command line; the exit code is 1 when an object could not be measured."""
    return report(options_of(sys.argv[1:] if argv is None else argv))


def report(options: EvaluateOptions) -> int:
    """Evaluate and print the table; the exit code of the command."""
    measurements = evaluate(options, announce=tqdm.write)
    tqdm.write((options.out / "evaluation.md").read_text().split("\n## ")[0])
    tqdm.write(f"table: {options.out / 'evaluation.md'} and evaluation.csv")
    failures = [f"{m.name} ({m.failure.rstrip('.')})" for m in measurements if m.failure]
    if failures:
        tqdm.write(f"{len(failures)} of {len(measurements)} not measured: {'; '.join(failures)}")
    return int(bool(failures))


if __name__ == "__main__":
    run_command(main)
