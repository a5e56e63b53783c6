"""What is refused before a training loads its models, and before several processes are started for it."""

from __future__ import annotations

from animate3d.errors import InputError
from animate3d.mvvdm.data.sources import locate
from animate3d.mvvdm.inference import VideoRequest
from animate3d.mvvdm.training import checkpoints, output
from animate3d.mvvdm.training.config import TrainingConfig


def check(config: TrainingConfig) -> list[VideoRequest]:
    """The validation videos; refuses condition images and clips that are not there, and a folder of another training.

    Raises:
        InputError: says which.
    """
    requests = output.validation_requests(config)
    _check_folder(config)
    try:
        locate(config.train_data["info_path"])
    except InputError as error:
        raise InputError(f"`train_data.info_path`: {error}") from error
    return requests


def _check_folder(config: TrainingConfig) -> None:
    folder = config.folder
    if config.resume_from_checkpoint or config.is_debug:
        return
    if checkpoints.find_latest(folder / output.CHECKPOINTS) is not None:
        raise InputError(
            f"{folder} holds a training already: continue it with resume_from_checkpoint=latest, or choose another "
            "`name`."
        )
