"""`animatemv-diffusion-guidance`: 4D score distillation from the multi-view video model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from animate3d.errors import InputError
from animate3d.studio import api as threestudio

RELEASED_MOTION = "pretrained_models/animate3d_motion_modules.ckpt"
HALF = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def _own_motion(source: str, motion: str | None) -> str | None:
    """The motion checkpoint that is read beside a model; a converted folder has its own."""
    from animate3d.mvvdm.convert import is_converted

    held = Path(source).is_dir() and is_converted(Path(source)) and motion == RELEASED_MOTION
    return None if held else motion


@threestudio.register("animatemv-diffusion-guidance")
class AnimateMVGuidance(threestudio.BaseObject):
    """Loads `animate3d.mvvdm` and gives it what the host knows. Numbers may be schedules (`C`)."""

    @dataclass
    class Config(threestudio.BaseObject.Config):
        pretrained_model_name_or_path: str = "yanqinJiang/mvdream-sd1.5-diffusers"
        """Hub name or folder; a folder of ``animate3d convert-weights`` is the whole model."""
        motion_adapter_path: str = "guoyww/animatediff-motion-adapter-v1-5-2"
        ip_adapter_path: str = "h94/IP-Adapter"
        pretrained_unet_path: str | None = RELEASED_MOTION
        """The method's weights. A converted folder has its own; then only a path other than the default is read."""
        noise_scheduler_kwargs: dict = field(default_factory=dict)
        model_config: dict = field(default_factory=dict)
        n_view: int = 4
        n_frame: int = 16
        image_size: int | None = None
        """Pixels at which the model sees the videos. None: 256, or what the model is made for when that is less."""
        guidance_scale: Any = 5.0
        min_step_percent: Any = 0.02
        max_step_percent: Any = 0.2
        recon_std_rescale: Any = 0.25
        half_precision_weights: bool = True
        """On a GPU; the CPU always computes in float32."""
        half_precision_dtype: str = "float16"
        """float16 or bfloat16."""
        quantize: str | None = None
        """int8 holds the UNet's weights in eight bits."""
        compile: bool = False
        """Compile the UNet at its first use."""
        view_dependent_prompting: bool = False
        recon_loss: bool = True
        i2v: bool = True

    cfg: Config

    def configure(self) -> None:
        # Heavy imports, only where the guidance is used.
        from animate3d.mvvdm.guidance import VideoGuidance

        if not self.cfg.recon_loss or not self.cfg.i2v:
            raise InputError("system.guidance.recon_loss and i2v must be true: the method has no other form.")
        pipeline = self._load()
        self._model = VideoGuidance(pipeline, self.cfg.n_view, self.cfg.n_frame, self.cfg.image_size)
        self.update_step(0, 0)

    @staticmethod
    def check_files(config: Mapping[str, Any]) -> None:
        """Say that the method's weights are missing before anything else is fetched or encoded."""
        from animate3d.mvvdm.weights import existing_motion_checkpoint

        config = {**AnimateMVGuidance.Config().__dict__, **config}
        motion = _own_motion(config["pretrained_model_name_or_path"], config["pretrained_unet_path"])
        if motion is not None:
            existing_motion_checkpoint(motion)

    def _load(self) -> Any:
        from animate3d.mvvdm.convert import assemble
        from animate3d.mvvdm.inference import prepare_unet

        prepare = prepare_unet(torch.device(self.device), self.cfg.quantize, compiled=self.cfg.compile)
        source = self.cfg.pretrained_model_name_or_path
        motion = _own_motion(source, self.cfg.pretrained_unet_path)
        threestudio.info(f"Loading the multi-view video model {source} ...")
        config = {
            "pretrained_model_path": source,
            "motion_adapter_path": self.cfg.motion_adapter_path,
            "ip_adapter_path": self.cfg.ip_adapter_path,
            "noise_scheduler_kwargs": OmegaConf.to_container(self.cfg.noise_scheduler_kwargs),
            **OmegaConf.to_container(self.cfg.model_config),  # type: ignore[dict-item]
        }
        pipeline = assemble(config, motion, dtype=self._dtype())
        prepare(pipeline.unet)
        pipeline.text_encoder = pipeline.tokenizer = None  # the prompt processor has its own
        return pipeline.to(self.device)

    def _dtype(self) -> torch.dtype:
        if self.cfg.half_precision_dtype not in HALF:
            raise InputError(
                f"system.guidance.half_precision_dtype is {self.cfg.half_precision_dtype}; "
                f"it can be {' or '.join(HALF)}."
            )
        half = self.cfg.half_precision_weights and torch.device(self.device).type == "cuda"
        return HALF[self.cfg.half_precision_dtype] if half else torch.float32

    def update_step(self, epoch: int, global_step: int, on_load_weights: bool = False) -> None:
        def now(value: Any) -> float:
            return threestudio.C(value, epoch, global_step)

        self.step_range = now(self.cfg.min_step_percent), now(self.cfg.max_step_percent)
        self.guidance_scale = now(self.cfg.guidance_scale)
        self.std_rescale = now(self.cfg.recon_std_rescale)

    def __call__(
        self,
        rgb: Tensor,
        prompt_utils: Any,
        *,
        elevation: Tensor,
        azimuth: Tensor,
        camera_distances: Tensor,
        c2w: Tensor,
        rgb_as_latents: bool = False,
        guidance_eval: bool = False,
        **others: Any,
    ) -> dict[str, Any]:
        """Loss of one or more orbits.

        Args:
            rgb: ``[(b v f), H, W, 3]`` in 0..1.
            prompt_utils: of the prompt processor.
            elevation, azimuth, camera_distances: ``[(b v f)]`` degrees and units.
            c2w: ``[(b v f), 4, 4]``
            rgb_as_latents: must be False; the images go through the encoder.
            guidance_eval: also return what the guidance sees.

        Returns:
            ``loss_sds``, and ``videos`` (name to ``[V, F, 3, H, W]``; empty without ``guidance_eval``).
        """
        if rgb_as_latents:
            raise InputError("The guidance takes images, not latents.")
        first = slice(None, None, self.cfg.n_frame)
        text = prompt_utils.get_text_embeddings(
            elevation[first], azimuth[first], camera_distances[first], self.cfg.view_dependent_prompting
        )
        result, videos = self._model(
            rgb,
            text,
            c2w,
            guidance_scale=self.guidance_scale,
            step_range=self.step_range,
            std_rescale=self.std_rescale,
            evaluate=guidance_eval,
        )
        return {"loss_sds": result.loss, "videos": videos}
