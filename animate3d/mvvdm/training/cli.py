"""Command line of ``train.py``."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os

from animate3d.errors import Animate3DError, run_command
from animate3d.mvvdm.training.config import load_config
from animate3d.resources import find_resource

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
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="config values")
    options = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s")
    try:
        config = load_config(find_resource(options.config), options.overrides)
        if options.wandb and "wandb" not in config.report_to:
            config = dataclasses.replace(config, report_to=[*config.report_to, "wandb"])
        from animate3d.mvvdm.training.loop import Trainer  # slow to import; --help and wrong configs need none of it

        Trainer(config).run()
    except Animate3DError:
        if int(os.environ.get("LOCAL_RANK", "0")) > 0:
            return 1  # the first process of the machine says it
        raise
    return 0


if __name__ == "__main__":
    run_command(main)
