"""What `animate3d evaluate` is asked for; nothing heavy is imported here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from animate3d.arguments import (
    Folder,
    OptionalCount,
    OptionalFile,
    OptionalFolder,
    OptionalText,
    RayAddress,
    check_out,
    group,
    parse,
)
from animate3d.errors import InputError

_EXAMPLES = """examples:
  animate3d evaluate --testset data/animate3d/testset --results outputs/animate3d --out outputs/evaluation
  animate3d evaluate --testset data/animate3d/testset --results outputs/animate3d --out outputs/evaluation --ray
  animate3d evaluate --testset data/animate3d/testset --results outputs/animate3d --stage recon --objects butterfly \\
      --out outputs/evaluation_recon
  animate3d evaluate --checkpoint outputs/dragon/work/mesh/object/ckpts/last.ckpt --videos data/demo/frames/wing_flap \\
      --out outputs/dragon/evaluation

Writes evaluation.csv, evaluation.md, metrics.png, frames.png and sheets/<object>.png. Renders of Gaussian step 4 are
used when they are newer than the checkpoint; otherwise the views are rendered into renders/. docs/evaluation.md has the
metrics, and how to measure VBench's.
"""


@dataclass(frozen=True, kw_only=True)
class WholeTestset:
    """All objects of a folder."""

    testset: OptionalFolder = None
    """pretrained_gaussian/<name>.ply, tracking_rgba_images/<name>/"""
    results: OptionalFolder = None
    """recon/<name>, refine/<name>: outputs/animate3d"""
    stage: Annotated[Literal["recon", "refine"] | None, arg(metavar="{recon,refine}", help_behavior_hint="")] = None
    """what is measured (default: refine if every object has it, else recon)"""


@dataclass(frozen=True, kw_only=True)
class SingleModel:
    """A checkpoint of any run."""

    checkpoint: OptionalFile = None
    """in the folder of its training"""
    videos: OptionalFolder = None
    """four videos {v*F+f}.png that it should look like"""


@dataclass(frozen=True, kw_only=True)
class Renders:
    """What is rendered to be measured."""

    frames: OptionalCount = None
    """that every video must have (default: as many as there are)"""
    size: OptionalCount = None
    """pixels of the renders (default: as saved, else 512)"""


@dataclass(frozen=True, kw_only=True)
class VBench:
    """The paper's metrics, by a package that needs an environment of its own."""

    vbench_videos: OptionalFolder = None
    """write videos for VBench, read results"""
    vbench_python: OptionalFile = None
    """Python with vbench==0.1.5; runs it"""
    vbench_weights: OptionalFolder = None
    """weights of its metrics (default: ~/.cache/vbench)"""


@dataclass(frozen=True)
class EvaluateCommand:
    """Flags of `animate3d evaluate`."""

    out: Folder
    """gets the table and the pictures"""
    whole: Annotated[WholeTestset, group("a test set")]
    single: Annotated[SingleModel, group("a single model")]
    renders: Annotated[Renders, group("renders")]
    vbench: Annotated[VBench, group("VBench")]
    objects: OptionalText = None
    """only these of the test set, comma-separated (default: all)"""
    ray: RayAddress = None


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(WholeTestset, SingleModel, Renders, VBench):
    """What to evaluate: the groups of the command's flags.

    Attributes:
        out: gets the table.
        objects: names; all of the test set when empty.
        ray: address of the cluster that measures them; None for this process.
    """

    out: Path
    objects: tuple[str, ...] = ()
    ray: str | None = None

    def __post_init__(self) -> None:
        single, whole = (self.checkpoint, self.videos), (self.testset, self.results)
        if not (all(single) and not any(whole)) and not (all(whole) and not any(single)):
            raise InputError("Give --testset and --results, or --checkpoint and --videos of a single model.")
        if self.size is not None and self.size < 32:
            raise InputError(f"--size is {self.size}; renders need at least 32 pixels.")
        check_out(self.out)
        python = self.vbench_python  # a file, or a name on the PATH
        if python is not None and shutil.which(python.absolute() if python.is_file() else python) is None:
            raise InputError(f"There is no Python at {python} (--vbench-python).")


def names(text: str | None) -> tuple[str, ...]:
    """The parts of a comma-separated flag."""
    return tuple(part for part in (text or "").replace(",", " ").split() if part)


def options_of(arguments: Sequence[str]) -> EvaluateOptions:
    """The options of a command line."""
    given, _ = parse(
        EvaluateCommand,
        arguments,
        prog="animate3d evaluate",
        summary="measure animated Gaussian models and write one table beside published figures",
        examples=_EXAMPLES,
    )
    if given.objects is not None and not names(given.objects):
        raise InputError(f"--objects is '{given.objects}', which names none; leave it out for all of the test set.")
    groups = {**vars(given.whole), **vars(given.single), **vars(given.renders), **vars(given.vbench)}
    return EvaluateOptions(out=given.out, objects=names(given.objects), ray=given.ray, **groups)
