"""The training config: every key, its default and what it means."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException, ValidationError
from yaml import YAMLError

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.mvvdm.model.unet import TRAINED
from animate3d.studio.registry import near_names

PRECISIONS = ("no", "fp16", "bf16")
TRACKERS = ("tensorboard", "wandb")


@dataclass(frozen=True)
class ValidationData:
    """Videos that are made during the training."""

    prompts: list[str] = field(default_factory=list)
    """One video per prompt; empty for none."""
    image_root: str = ""
    """Folder of the condition images ``{image}_{v}.png``."""
    images: list[str] = field(default_factory=list)
    """Name of the images of each prompt; an empty name stands for ``{v}.png``."""
    num_inference_steps: int = 25
    guidance_scale: float = 7.5


@dataclass(frozen=True)
class TrainingConfig:
    """``configs/training/train.yaml``. Keys that a file leaves out have these values."""

    train_data: dict[str, Any]
    """``info_path`` (JSON, folder or archives), ``sample_size`` (pixels), ``sample_n_frames``, and the other arguments
    of `animate3d.mvvdm.data.build_dataset`."""
    pretrained_model_path: str
    """MVDream's weights, or a folder of ``animate3d convert-weights``, which holds everything."""
    motion_adapter_path: str = "guoyww/animatediff-motion-adapter-v1-5-2"
    ip_adapter_path: str = "h94/IP-Adapter"
    unet_checkpoint_path: str = ""
    """Motion checkpoint to start from; empty to start from the released parts."""
    output_dir: str = "outputs/vdm"
    name: str = "train"
    """Results go to ``output_dir/name``."""
    resume_from_checkpoint: bool | str = False
    """``latest`` (or true) continues this run where it stopped, or starts it; or a checkpoint file."""
    noise_scheduler_kwargs: dict[str, Any] = field(default_factory=dict)
    validation_data: ValidationData = field(default_factory=ValidationData)

    i2v_cond_time_zero: bool = False
    mvdream_attn_cfg: dict[str, Any] | None = None
    motion_module_attn_cfg: dict[str, Any] | None = None
    trainable_modules: list[str] = field(default_factory=lambda: list(TRAINED))
    """Parameters whose name contains one of these learn."""
    lora: dict[str, Any] | None = None
    """``{rank, alpha, dropout, target_modules}``: only low-rank updates of the motion modules learn."""

    max_train_epoch: int = 20
    max_train_steps: int = -1
    """The training ends at the first of the two; -1 for no limit."""
    train_batch_size: int = 1
    """Samples of a process; a sample is all views of a clip."""
    gradient_accumulation_steps: int = 1
    learning_rate: float = 1e-4
    lr_scheduler: str = "constant"
    """Name of a schedule of diffusers: constant, constant_with_warmup, linear, cosine, ..."""
    lr_warmup_steps: int = 0
    lr_decay_steps: int = 0
    """Over the last so many steps the learning rate falls to zero, on top of ``lr_scheduler``."""
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    text_dropout: float = 0.1
    """Probability of training without the text, which guidance needs."""
    stratified_timesteps: bool = False
    """Every sample of a batch draws its timestep from its own part of the noise schedule."""
    ema_decay: float = 0.0
    """Keep a moving average of the trained weights, e.g. 0.999; 0 for none."""
    global_seed: int = 42

    mixed_precision_training: bool | str = True
    """True takes what ``accelerate launch`` says, else bf16 where the GPU has it, else fp16; on a CPU none. Or fp16,
    bf16, no."""
    gradient_checkpointing: bool = False
    """Recompute activations: much less memory, a third more time."""
    recomputed_blocks: list[str] = field(default_factory=list)
    """With ``gradient_checkpointing``: only blocks whose name contains one of these, such as down_blocks.0 and
    up_blocks.3, where images are largest; empty for all."""
    compile: bool = False
    """Compile the blocks on a GPU: minutes at the first step, kept in PyTorch's cache, then faster steps."""
    enable_xformers_memory_efficient_attention: bool = True
    """Used where xformers is installed; otherwise PyTorch's own fused attention."""
    latent_cache: str = ""
    """Folder that keeps encoded clips and texts; empty for none."""
    num_workers: int = 32
    """Processes that decode videos, per training process; never more than the machine has cores for."""

    checkpointing_epochs: int = 1
    checkpointing_steps: int = -1
    """Also write a checkpoint every so many steps, to lose less at an interruption."""
    keep_checkpoints: int = -1
    """Keep the newest so many of the checkpoints of epochs; -1 keeps all. Of those in between only the newest stays."""
    save_full_model: bool = False
    """Write the frozen weights into the checkpoints too."""

    validation_epoch: int = 1
    validation_steps: int = -1
    validation_steps_tuple: list[int] = field(default_factory=list)
    video_length: int = 16
    """Frames of validation videos."""
    num_views: int = 4

    report_to: list[str] = field(default_factory=lambda: ["tensorboard"])
    """Any of tensorboard and wandb; what is not installed is left out."""
    is_debug: bool = False
    """Write to ``output_dir/debug``, which a new run replaces."""

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return Path(self.output_dir) / ("debug" if self.is_debug else self.name)

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises:
            InputError: names the key.
        """
        for key in ("train_batch_size", "gradient_accumulation_steps", "num_views", "max_train_epoch"):
            if key == "max_train_epoch" and self.max_train_steps > 0:
                continue
            _need(getattr(self, key) >= 1, key, getattr(self, key), "it must be at least 1")
        _need(self.learning_rate > 0, "learning_rate", self.learning_rate, "it must be above 0")
        _need(0 <= self.text_dropout <= 1, "text_dropout", self.text_dropout, "it lies between 0 and 1")
        _need(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "it lies between 0 and 1")
        _need(self.lr_decay_steps >= 0, "lr_decay_steps", self.lr_decay_steps, "it cannot be below 0")
        _need(self.video_length >= 2, "video_length", self.video_length, "it must be at least 2")
        _need(self.keep_checkpoints != 0, "keep_checkpoints", 0, "give -1 for all, or a number above 0")
        precision = self.mixed_precision_training
        known = isinstance(precision, bool) or precision in PRECISIONS
        _need(known, "mixed_precision_training", precision, f"it is true, false or one of {', '.join(PRECISIONS)}")
        for tracker in self.report_to:
            _need(tracker in TRACKERS, "report_to", tracker, f"it lists any of {', '.join(TRACKERS)}")
        _need("info_path" in self.train_data, "train_data", self.train_data, "its `info_path` is missing")
        frames = self.train_data.get("sample_n_frames", 16)
        _need(frames >= 2, "train_data.sample_n_frames", frames, "frame 0 is the condition: it must be at least 2")
        prompts, images = self.validation_data.prompts, self.validation_data.images
        if len(prompts) != len(images):
            raise InputError(
                f"`validation_data` has {len(prompts)} prompts and {len(images)} images; give one image name for each."
            )

    def validates(self) -> bool:
        """Whether videos are made at any time."""
        when = self.validation_epoch > 0 or self.validation_steps > 0 or bool(self.validation_steps_tuple)
        return bool(self.validation_data.prompts) and when


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a YAML file, over which the overrides ``key.sub=value`` win.

    Raises:
        InputError: unreadable, an unknown key, or a value of the wrong kind.
    """
    path = existing_file(path, "config")
    for item in overrides:
        if "=" not in item:
            raise InputError(f"`{item}` is not an override; write key=value, e.g. learning_rate=5e-5.")
    schema = OmegaConf.structured(TrainingConfig)
    OmegaConf.set_readonly(schema, False)  # as the values of a frozen dataclass are
    try:
        given = OmegaConf.load(path)
        if not isinstance(given, DictConfig):
            raise InputError(f"The config {path} is not a mapping of keys to values.")
        given.merge_with_dotlist(list(overrides))
        for key, value in given.items():
            kind: Any = OmegaConf.get_type(schema, str(key)) if key in schema else None
            if value is None and kind in (str, list):
                given[key] = kind()  # YAML's null is an empty text or list
        config = OmegaConf.to_object(OmegaConf.merge(schema, given))
    except ConfigKeyError as error:
        known = [item.name for item in dataclasses.fields(error.object_type or TrainingConfig)]
        raise InputError(f"{path}: there is no key `{error.full_key}`{near_names(str(error.key), known)}.") from error
    except MissingMandatoryValue as error:
        raise InputError(f"{path}: the key `{error.full_key}` is missing.") from error
    except ValidationError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{path}: `{error.full_key}` cannot be used: {reason}.") from error
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError, TypeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"The config {path} cannot be read: {reason}") from error
    assert isinstance(config, TrainingConfig)
    config.check()
    return config


def _need(condition: bool, key: str, value: object, rule: str) -> None:
    if not condition:
        raise InputError(f"`{key}` is {value!r}; {rule}.")
