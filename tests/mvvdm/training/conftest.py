"""A tiny model and four clips, and trainings that take seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from animate3d.mvvdm.training.config import TrainingConfig, load_config
from animate3d.mvvdm.training.example import write_example

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "training"
Configure = Callable[..., TrainingConfig]


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``model/``, ``clips.json``, ``videos/`` and ``images/``."""
    folder = tmp_path_factory.mktemp("example") / "example"
    write_example(folder)
    return folder


def overrides_for(example: Path, output: Path) -> list[str]:
    """Config values that make ``tiny.yaml`` read the example, as fast as it goes."""
    return [
        f"pretrained_model_path={example}/model",
        f"train_data.info_path={example}/clips.json",
        "train_data.sample_n_frames=2",
        f"validation_data.image_root={example}/images",
        f"output_dir={output}",
        "name=run",
        "resume_from_checkpoint=false",
        "num_workers=0",
        "validation_epoch=-1",
        "video_length=2",
        "report_to=[]",
    ]


@pytest.fixture()
def configure(example: Path, tmp_path: Path) -> Configure:
    """A config of a tiny training; arguments are overrides."""
    pytest.importorskip("av")

    def make(*overrides: str) -> TrainingConfig:
        return load_config(CONFIGS / "tiny.yaml", [*overrides_for(example, tmp_path), *overrides])

    return make


@pytest.fixture()
def arguments(example: Path, tmp_path: Path) -> list[str]:
    """A command line of a training of one step."""
    pytest.importorskip("av")
    return ["--config", str(CONFIGS / "tiny.yaml"), *overrides_for(example, tmp_path), "max_train_steps=1"]


@pytest.fixture(autouse=True)
def _fresh_accelerate() -> Iterator[None]:
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)
