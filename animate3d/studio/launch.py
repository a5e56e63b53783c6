"""Run a config: train, validate, test or export, from the command line or from a program."""

from __future__ import annotations

import argparse
import functools
import inspect
import logging
import os
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException  # type: ignore[attr-defined]

from animate3d.errors import InputError, available
from animate3d.files import atomic_file, existing_file
from animate3d.lock import alone_in
from animate3d.resources import find_resource
from animate3d.studio import api
from animate3d.studio.callbacks import (
    AtomicCheckpointIO,
    ProgressBar,
    StopRun,
    TrialCheckpoint,
    set_aside,
    stop_on_interrupt,
)
from animate3d.studio.config import dump_config, load_config
from animate3d.studio.misc import get_rank, read_checkpoint
from animate3d.studio.plugins import load_plugins
from animate3d.studio.registry import find, name_of_config, near_names, warn

MODES = ("train", "validate", "test", "export")

_EXAMPLES = """examples:
  python launch.py --config custom/threestudio-animate3d/configs/motion_recon_frame_16.yaml --train --gpu 0 \\
      tag=butterfly system.prompt_processor.prompt="A glowing butterfly is flying." data.image_root=frames/butterfly
  python launch.py --config outputs/animate3d/recon/butterfly/configs/parsed.yaml --train \\
      resume=outputs/animate3d/recon/butterfly/ckpts/last.ckpt

Results go to {exp_root_dir}/{name}/{tag}: ckpts/, configs/, csv_logs/, save/.
"""


@dataclass(frozen=True)
class LaunchResult:
    """Where a run left its results.

    Attributes:
        trial_dir: the run's folder.
        checkpoint: the latest one of a training, or the one that was evaluated; None if there is none.
    """

    trial_dir: Path
    checkpoint: Path | None


class Interrupted(KeyboardInterrupt):
    """The run was stopped by Ctrl-C; the message says how to continue."""


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="launch.py",
        description="Train, test or export with a config.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="YAML file, in the current folder or among the project's own")
    parser.add_argument("--gpu", default="0", help="CUDA devices, e.g. 0 or 0,1; CUDA_VISIBLE_DEVICES wins (default 0)")
    mode = parser.add_mutually_exclusive_group(required=True)
    for name in MODES:
        mode.add_argument(f"--{name}", dest="mode", action="store_const", const=name)
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.add_argument("--typecheck", action="store_true", help="accepted for threestudio's commands; does nothing")
    parser.add_argument("--gradio", action="store_true", help=argparse.SUPPRESS)
    options, overrides = parser.parse_known_args(argv)
    if options.gradio:
        raise InputError("--gradio is a page of threestudio itself; leave it out to run here.")
    if options.typecheck:
        warn("--typecheck is a development aid of threestudio itself; this host runs without it.")
    command = shlex.join(["python", "launch.py", *(sys.argv[1:] if argv is None else argv)])
    try:
        launch(options.config, overrides, options.mode, gpu=options.gpu, verbose=options.verbose, command=command)
    except Interrupted as stop:
        warn(str(stop))
        return 130
    return 0


def launch(
    config: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    mode: str = "train",
    *,
    gpu: str | None = None,
    verbose: bool = False,
    command: str | None = None,
) -> LaunchResult:
    """Run one config; may be called any number of times in one process.

    Args:
        config: YAML file; a relative path is looked up as `find_resource` does.
        overrides: ``key.sub=value``.
        mode: train, validate, test or export.
        gpu: CUDA devices, unless CUDA_VISIBLE_DEVICES is set; None leaves them alone.
        verbose: log debug messages and Lightning's own.
        command: written to the trial's cmd.txt.

    Raises:
        InputError: a setting, file or name that cannot be used, or another training is at work in the trial's folder.
        Interrupted: Ctrl-C.
    """
    if mode not in MODES:
        raise InputError(f"Unknown mode '{mode}': use one of {', '.join(MODES)}.")
    if not api.EMBEDDED:
        raise InputError("threestudio is already imported in this process; launch with its own launch.py.")
    if gpu is not None:
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", gpu)
    with _log_level(verbose), _config_errors():
        path = existing_file(find_resource(config), "config file")
        cfg = _settings(path, overrides)
        command = command or shlex.join(["python", "launch.py", "--config", str(path), f"--{mode}", *overrides])
        # Two trainings would move each other's checkpoints away; what evaluates one may run beside it.
        alone = mode == "train" and get_rank() == 0
        with alone_in(Path(cfg.trial_dir), "another tag") if alone else nullcontext():
            return _run(cfg, path, mode, command)


def check_settings(config: str | os.PathLike[str], overrides: Sequence[str]) -> None:
    """Refuse what `launch` would refuse of a config's settings, before the steps that come first take their time.

    Raises:
        InputError: an unknown config or key. Values, and the weights of losses, are checked by the system itself.
    """
    with _config_errors():
        cfg = _settings(existing_file(find_resource(config), "config file"), overrides)
        _check_keys("system", cfg.system, (field.name for field in fields(find(cfg.system_type).Config)))


def _settings(path: Path, overrides: Sequence[str]) -> Any:
    """A config with its plugins registered and the keys that go to Lightning's classes checked."""
    load_plugins()
    cfg = load_config(path, cli_args=overrides, n_gpus=max(1, torch.cuda.device_count()))
    _check_keys("trainer", cfg.trainer, inspect.signature(pl.Trainer).parameters)
    _check_keys("checkpoint", cfg.checkpoint, inspect.signature(ModelCheckpoint).parameters)
    return cfg


def _check_keys(section: str, settings: Any, names: Iterable[str]) -> None:
    """Refuse keys that a section does not have, before anything is written.

    Raises:
        InputError: names the key and near ones.
    """
    known = list(names)
    for key in settings:
        if key not in known:
            raise InputError(f"`{section}` has no setting '{key}'{near_names(str(key), known)}.")


def _run(cfg: Any, config_path: Path, mode: str, command: str) -> LaunchResult:
    resume = Path(cfg.resume) if cfg.resume else None
    resumed_from = read_checkpoint(resume) if resume else None
    pl.seed_everything(cfg.seed + get_rank(), workers=True)
    datamodule = find(cfg.data_type)(cfg.data)
    system = find(cfg.system_type)(cfg.system, resumed=resume is not None)
    trial = Path(cfg.trial_dir)
    system.set_save_dir(str(trial / "save"))
    if resumed_from is not None and mode != "train":
        system.set_resume_status(resumed_from["epoch"], resumed_from["global_step"])
    if get_rank() == 0:
        (trial / "save").mkdir(parents=True, exist_ok=True)
        # An evaluation inside the folder of a training leaves the training's record alone.
        if mode == "train" or not (trial / "configs" / "parsed.yaml").exists():
            _write_record(trial, cfg, config_path, command)

    checkpoint: TrialCheckpoint | None = None
    callbacks: list[pl.Callback] = []
    loggers: list[Any] = []
    settings = _trainer_settings(cfg.trainer)
    if settings.get("enable_progress_bar", True):
        callbacks.append(ProgressBar())
    if mode == "train":
        checkpoint = TrialCheckpoint(trial / "ckpts", **OmegaConf.to_container(cfg.checkpoint))  # type: ignore[arg-type]
        callbacks += [checkpoint, LearningRateMonitor(logging_interval="step")]
        loggers = [CSVLogger(trial, name="csv_logs"), *system.get_loggers()]
        if available("tensorboard"):
            loggers.insert(0, TensorBoardLogger(trial, name="tb_logs"))
        if get_rank() == 0:
            # Not earlier: the weights of this run may come from a checkpoint that is moved.
            set_aside(trial / "ckpts", resume)
    try:
        trainer = pl.Trainer(
            callbacks=callbacks, logger=loggers, enable_checkpointing=checkpoint is not None, **settings
        )
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise InputError(f"A value of `trainer` cannot be used: {str(error).strip().splitlines()[0]}") from error
    run: Any = {"train": trainer.fit, "validate": trainer.validate, "test": trainer.test, "export": trainer.predict}[
        mode
    ]
    try:
        with stop_on_interrupt(checkpoint):
            run(system, datamodule=datamodule, ckpt_path=cfg.resume)
    except StopRun:
        raise Interrupted(_how_to_continue(trial, checkpoint)) from None
    except RuntimeError as error:
        if "loading state_dict" in str(error):
            reason = str(error).strip().splitlines()[-1].strip()
            raise InputError(f"The checkpoint {resume} does not fit this config: {reason}") from error
        raise
    latest = checkpoint.latest if checkpoint is not None else None
    return LaunchResult(trial, latest or resume)


def _how_to_continue(trial: Path, checkpoint: TrialCheckpoint | None) -> str:
    if checkpoint is None or checkpoint.latest is None:
        return "Stopped; run the same command again to start over."
    return f"Stopped after saving; add resume={trial / 'ckpts' / 'last.ckpt'} to the same command to continue."


def _trainer_settings(cfg: Any) -> dict[str, Any]:
    """Lightning's arguments: the config's, on the devices that are there."""
    settings: dict[str, Any] = {"enable_model_summary": False, **OmegaConf.to_container(cfg, resolve=True)}  # type: ignore[dict-item]
    settings |= {"inference_mode": False, "plugins": [AtomicCheckpointIO()]}
    if torch.cuda.is_available() and settings.get("accelerator", "gpu") != "cpu":
        return {"accelerator": "gpu", "devices": -1, **settings}
    _say_cpu_once()
    if str(settings.get("precision", "32-true")) not in ("32", "32-true", "64", "64-true"):
        settings["precision"] = "32-true"  # half precision is slower than float32 on a CPU
    return {**settings, "accelerator": "cpu", "devices": 1}


@functools.cache
def _say_cpu_once() -> None:
    warn("No CUDA GPU: running on the CPU in float32.")


def _write_record(trial: Path, cfg: Any, config_path: Path, command: str) -> None:
    """What was run: ``configs/{raw,parsed}.yaml`` and ``cmd.txt``."""
    raw = trial / "configs" / "raw.yaml"
    if not (raw.exists() and raw.samefile(config_path)):
        with atomic_file(raw) as temporary:
            shutil.copyfile(config_path, temporary)
    with atomic_file(trial / "configs" / "parsed.yaml") as temporary:
        dump_config(temporary, cfg)
    with atomic_file(trial / "cmd.txt") as temporary:
        temporary.write_text(command + "\n")


@contextmanager
def _config_errors() -> Iterator[None]:
    """OmegaConf's errors, which take several lines, as one sentence."""
    try:
        yield
    except OmegaConfBaseException as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        component = getattr(error, "object_type", None)
        where = f" of '{name_of_config(component)}'" if isinstance(component, type) and component is not dict else ""
        key = getattr(error, "full_key", None)
        if "issing" in type(error).__name__:
            raise InputError(
                f"A value that the config leaves open is missing; give it as key=value ({reason})."
            ) from error
        raise InputError(f"Setting '{key}'{where}: {reason}." if key else f"{reason}.") from error


@contextmanager
def _log_level(verbose: bool) -> Iterator[None]:
    """Our messages, without Lightning's remarks on devices, loggers and workers unless ``verbose``."""
    host = logging.getLogger("pytorch_lightning")
    theirs = [
        logging.getLogger(f"{package}.utilities.{part}")
        for package in ("pytorch_lightning", "lightning_fabric")
        for part in ("rank_zero", "seed")
    ]
    theirs += [logging.getLogger("lightning_fabric.utilities.seed")]
    levels = [(logger, logger.level) for logger in [host, *theirs]]
    with warnings.catch_warnings():
        if verbose:
            host.setLevel(logging.DEBUG)
        else:
            host.setLevel(logging.INFO)
            for logger in theirs:
                logger.setLevel(logging.ERROR)
            for package in ("pytorch_lightning", "lightning_fabric", "torch.utils.data"):
                warnings.filterwarnings("ignore", module=package)
        try:
            yield
        finally:
            for logger, level in levels:
                logger.setLevel(level)
