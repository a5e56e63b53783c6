"""Fine-tune a video model on clips of your own.

Trains the smallest possible model on four clips of moving balls, which takes a minute on a CPU: the same classes, files
and settings as the full training. docs/training.md has the settings, docs/data.md how clips are stored.
Needs `pip install 'animate3d[train]'`.
"""

import json
from pathlib import Path

from animate3d.mvvdm.training.config import load_config
from animate3d.mvvdm.training.example import write_example
from animate3d.mvvdm.training.loop import Trainer
from animate3d.resources import find_resource

OUT = Path("outputs/examples/train")


def main(out: Path = OUT, *overrides: str) -> None:
    """Write model and clips, train two epochs; `overrides` are settings, such as "max_train_epoch=1"."""
    write_example(out / "example")
    places = [f"output_dir={out}", "name=run", f"pretrained_model_path={out}/example/model"]
    places += [f"train_data.info_path={out}/example/clips.json", f"validation_data.image_root={out}/example/images"]
    Trainer(load_config(find_resource("configs/training/tiny.yaml"), [*places, *overrides])).run()
    lines = (out / "run" / "losses.jsonl").read_text().splitlines()
    print(f"{out / 'run' / 'checkpoints'}: {len(lines)} steps, loss {json.loads(lines[-1])['loss']:.3f}")


if __name__ == "__main__":
    main()
