"""Systems: a Lightning module that wires components together and passes the hooks on."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import OmegaConf

from animate3d.errors import InputError
from animate3d.studio.base import Updateable
from animate3d.studio.config import load_config, parse_structured
from animate3d.studio.misc import C, cleanup, find_last_path, get_device, load_module_weights
from animate3d.studio.models import BaseBackground, BaseGeometry, BaseMaterial, Exporter, Renderer
from animate3d.studio.optimizers import parse_optimizer, parse_scheduler
from animate3d.studio.registry import find, info, warn
from animate3d.studio.saving import SaverMixin


class BaseSystem(pl.LightningModule, Updateable, SaverMixin):
    """Life cycle: configure, load weights, post_configure; then update hooks around every batch."""

    @dataclass
    class Config:
        loggers: dict[str, Any] = field(default_factory=dict)
        loss: dict[str, Any] = field(default_factory=dict)
        optimizer: dict[str, Any] = field(default_factory=dict)
        scheduler: dict[str, Any] | None = None
        weights: str | None = None
        weights_ignore_modules: list[str] | None = None
        cleanup_after_validation_step: bool = False
        cleanup_after_test_step: bool = False

    cfg: Any

    def __init__(self, cfg: Any, resumed: bool = False) -> None:
        super().__init__()
        self.cfg = parse_structured(self.Config, cfg)
        self._resumed = resumed
        self._resumed_eval_status = {"global_step": 0, "current_epoch": 0}
        self._resumed_eval = False
        self._loggers = self._create_loggers()
        self.configure()
        if self.cfg.weights is not None:
            self.load_weights(self.cfg.weights, self.cfg.weights_ignore_modules)
        self.post_configure()

    def _create_loggers(self) -> list[Any]:
        wandb = self.cfg.loggers.get("wandb", None)
        if not wandb or not wandb.get("enable", False):
            return []
        from pytorch_lightning.loggers import WandbLogger

        return [WandbLogger(project=wandb.get("project", "threestudio"), name=wandb.get("name", None))]

    def get_loggers(self) -> list[Any]:
        """Loggers that the config asks for, as well as the host's own."""
        return self._loggers

    def load_weights(self, weights: str, ignore_modules: list[str] | None = None) -> None:
        """Load what fits by name from a checkpoint, then let the components follow its step once.

        Raises:
            InputError: not a checkpoint, of another shape, or with no name in common.
        """
        state, epoch, global_step = load_module_weights(weights, ignore_modules=ignore_modules, map_location="cpu")
        try:
            result = self.load_state_dict(state, strict=False)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise InputError(f"The weights {weights} do not fit this system: {reason}") from error
        if state and len(result.unexpected_keys) == len(state):
            raise InputError(f"The weights {weights} are of another system: no parameter has a name in common.")
        if result.unexpected_keys:
            warn(f"{weights}: {len(result.unexpected_keys)} entries have no place here and are left out.")
        self.do_update_step(epoch, global_step, on_load_weights=True)

    def set_resume_status(self, current_epoch: int, global_step: int) -> None:
        """Count from a checkpoint's step although no training loop was restored (validate, test, export)."""
        self._resumed_eval = True
        self._resumed_eval_status = {"current_epoch": current_epoch, "global_step": global_step}

    @property
    def resumed(self) -> bool:
        """Whether the run continues from a checkpoint."""
        return self._resumed

    @property
    def true_global_step(self) -> int:
        """Training step that the weights have seen."""
        return self._resumed_eval_status["global_step"] if self._resumed_eval else self.global_step

    @property
    def true_current_epoch(self) -> int:
        """Training epoch that the weights have seen."""
        return self._resumed_eval_status["current_epoch"] if self._resumed_eval else self.current_epoch

    def configure(self) -> None:
        """Override to build the components."""

    def post_configure(self) -> None:
        """Override to act after the weights are loaded."""

    def C(self, value: Any) -> float:
        """A scheduled scalar now."""
        return C(value, self.true_current_epoch, self.true_global_step)

    def configure_optimizers(self) -> Any:
        """From ``cfg.optimizer`` and ``cfg.scheduler``."""
        optimizer = parse_optimizer(self.cfg.optimizer, self)
        result: dict[str, Any] = {"optimizer": optimizer}
        if self.cfg.scheduler is not None:
            result["lr_scheduler"] = parse_scheduler(self.cfg.scheduler, optimizer)
        return result

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        raise NotImplementedError

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        raise NotImplementedError

    def on_validation_epoch_end(self) -> None:
        raise NotImplementedError

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        raise NotImplementedError

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        raise NotImplementedError

    def on_test_epoch_end(self) -> None:
        """Override to assemble the results."""

    def preprocess_data(self, batch: Any, stage: str) -> None:
        """Override to complete a batch before its step."""

    def on_train_batch_start(self, batch: Any, batch_idx: int, unused: int = 0) -> None:
        self._before_batch(batch, "train", self.trainer.train_dataloader)

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._before_batch(batch, "validation", self.trainer.val_dataloaders)

    def on_test_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._before_batch(batch, "test", self.trainer.test_dataloaders)

    def on_predict_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._before_batch(batch, "predict", self.trainer.predict_dataloaders)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._after_batch(self.trainer.train_dataloader)

    def on_validation_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._after_batch(self.trainer.val_dataloaders, self.cfg.cleanup_after_validation_step)

    def on_test_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._after_batch(self.trainer.test_dataloaders, self.cfg.cleanup_after_test_step)

    def on_predict_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._after_batch(self.trainer.predict_dataloaders, self.cfg.cleanup_after_test_step)

    def _before_batch(self, batch: Any, stage: str, loader: Any) -> None:
        self.preprocess_data(batch, stage)
        self.dataset = loader.dataset
        if isinstance(self.dataset, Updateable):
            self.dataset.do_update_step(self.true_current_epoch, self.true_global_step)
        self.do_update_step(self.true_current_epoch, self.true_global_step)

    def _after_batch(self, loader: Any, free_memory: bool = False) -> None:
        self.dataset = loader.dataset
        if isinstance(self.dataset, Updateable):
            self.dataset.do_update_step_end(self.true_current_epoch, self.true_global_step)
        self.do_update_step_end(self.true_current_epoch, self.true_global_step)
        if free_memory:
            cleanup()


class BaseLift3DSystem(BaseSystem):
    """A system of geometry, material, background and renderer."""

    @dataclass
    class Config(BaseSystem.Config):
        geometry_type: str = ""
        geometry: dict[str, Any] = field(default_factory=dict)
        geometry_convert_from: str | None = None
        geometry_convert_inherit_texture: bool = False
        geometry_convert_override: dict[str, Any] = field(default_factory=dict)
        material_type: str = ""
        material: dict[str, Any] = field(default_factory=dict)
        background_type: str = ""
        background: dict[str, Any] = field(default_factory=dict)
        renderer_type: str = ""
        renderer: dict[str, Any] = field(default_factory=dict)
        guidance_type: str = ""
        guidance: dict[str, Any] = field(default_factory=dict)
        prompt_processor_type: str = ""
        prompt_processor: dict[str, Any] = field(default_factory=dict)
        exporter_type: str = "mesh-exporter"
        exporter: dict[str, Any] = field(default_factory=dict)

    geometry: BaseGeometry
    material: BaseMaterial
    background: BaseBackground
    renderer: Renderer

    def configure(self) -> None:
        """Build the four components; guidance and prompt processor are the subclass's own."""
        self.cfg.geometry_convert_from = find_last_path(self.cfg.geometry_convert_from)
        self.cfg.weights = find_last_path(self.cfg.weights)
        if self.cfg.geometry_convert_from and not self.cfg.weights and not self.resumed:
            self.geometry = self._converted_geometry()
        else:
            self.geometry = find(self.cfg.geometry_type)(self.cfg.geometry)
        self.material = find(self.cfg.material_type)(self.cfg.material)
        self.background = find(self.cfg.background_type)(self.cfg.background)
        self.renderer = find(self.cfg.renderer_type)(
            self.cfg.renderer, geometry=self.geometry, material=self.material, background=self.background
        )

    def _converted_geometry(self) -> BaseGeometry:
        """The geometry of a finished run, read from its saved config and checkpoint, converted to this one's type."""
        checkpoint = self.cfg.geometry_convert_from
        info(f"Initializing geometry from a given checkpoint: {checkpoint}")
        previous = load_config(Path(checkpoint).parents[1] / "configs" / "parsed.yaml").system
        geometry_cfg = OmegaConf.merge(previous.geometry, self.cfg.geometry_convert_override)
        geometry = find(previous.geometry_type)(geometry_cfg)
        state, epoch, global_step = load_module_weights(checkpoint, module_name="geometry", map_location="cpu")
        geometry.load_state_dict(state, strict=False)
        geometry.do_update_step(epoch, global_step, on_load_weights=True)
        return find(self.cfg.geometry_type).create_from(
            geometry.to(get_device()), self.cfg.geometry, copy_net=self.cfg.geometry_convert_inherit_texture
        )

    def on_fit_start(self) -> None:
        if self._save_dir is not None:
            info(f"Validation results will be saved to {self.get_save_dir()}")

    def on_test_end(self) -> None:
        if self._save_dir is not None:
            info(f"Test results saved to {self.get_save_dir()}")

    def on_predict_start(self) -> None:
        self.exporter: Exporter = find(self.cfg.exporter_type)(
            self.cfg.exporter, geometry=self.geometry, material=self.material, background=self.background
        )

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        if self.exporter.cfg.save_video:
            self.test_step(batch, batch_idx)

    def on_predict_epoch_end(self) -> None:
        if self.exporter.cfg.save_video:
            self.on_test_epoch_end()
        for output in self.exporter():
            save = getattr(self, f"save_{output.save_type}", None)
            if save is None:
                raise InputError(f"{output.save_type} not supported by the saver")
            save(os.path.join(f"it{self.true_global_step}-export", output.save_name), **output.params)

    def on_predict_end(self) -> None:
        if self._save_dir is not None:
            info(f"Export assets saved to {self.get_save_dir()}")
