"""Command line of ``train.py``."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
from contextlib import AbstractContextManager, nullcontext

from animate3d.errors import Animate3DError, run_command
from animate3d.lock import alone_in
from animate3d.mvvdm.training.config import TrainingConfig, load_config
from animate3d.resources import find_resource
from animate3d.studio.registry import get_rank

_EXAMPLES = """examples:
  python -m animate3d.mvvdm.training.example outputs/vdm/example     # a tiny model and a few clips, to try it
  python train.py --config configs/training/tiny.yaml

  python train.py --config configs/training/train.yaml train_data.info_path=data/vdm/meta/train.json
  python train.py --config configs/training/train.yaml resume_from_checkpoint=latest
  bash train.sh 1 8 train                                            # one machine with eight GPUs

docs/training.md describes every key, clusters and fine-tuning.
"""


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(
        prog="train.py",
        description="Train or fine-tune the multi-view video model.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", default="configs/training/train.yaml", help="training config")
    parser.add_argument("--wandb", action="store_true", help="report to Weights & Biases too")
    parser.add_argument("--check", action="store_true", help="say what is wrong with config and files, and stop")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="config values")
    options = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s")
    try:
        config = load_config(find_resource(options.config), options.overrides)
        if options.wandb and "wandb" not in config.report_to:
            config = dataclasses.replace(config, report_to=[*config.report_to, "wandb"])
        with _alone(config) if get_rank() == 0 else nullcontext():
            _train(config, check_only=options.check)
    except Animate3DError:
        if int(os.environ.get("LOCAL_RANK", "0")) > 0:
            return 1  # the first process of the machine says it
        raise
    return 0


def _alone(config: TrainingConfig) -> AbstractContextManager[None]:
    """Keep other trainings out of the folder of this one."""
    return alone_in(config.folder, "another `output_dir`" if config.is_debug else "another `name`")


def _train(config: TrainingConfig, *, check_only: bool) -> None:
    # Slow to import; --help and wrong configs need none of it.
    if check_only:
        from animate3d.mvvdm.training.before import check

        check(config)
    else:
        from animate3d.mvvdm.training.loop import Trainer

        Trainer(config).run()


if __name__ == "__main__":
    run_command(main)
