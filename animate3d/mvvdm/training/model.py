"""The models of a training, from the sources that its config names."""

from __future__ import annotations

from pathlib import Path

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from transformers import CLIPImageProcessorPil, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from animate3d.errors import InputError
from animate3d.files import existing_file, existing_folder
from animate3d.mvvdm.convert import ADAPTER_FILES, MVDREAM_FILES, is_converted, load_converted
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.training.config import TrainingConfig
from animate3d.mvvdm.weights import ip_adapter_files, load_motion_checkpoint, load_unet, resolve

PREDICTIONS = ("epsilon", "v_prediction")


def load_models(config: TrainingConfig) -> MultiViewVideoPipeline:
    """All models in float32 on the CPU, those in front of the UNet frozen.

    Without a motion checkpoint the new parts start as the method says: the adapter's output is zero, and both branches
    of the motion modules count alike.

    Raises:
        InputError: a source is missing, damaged, or does not fit.
    """
    checkpoint = config.unet_checkpoint_path
    if checkpoint:
        existing_file(checkpoint, "motion checkpoint")  # before the large files are read
    source = resolve(config.pretrained_model_path, what="base model", patterns=MVDREAM_FILES)
    if is_converted(source):
        pipeline = load_converted(source)
        pipeline.unet.register_to_config(i2v_cond_time_zero=config.i2v_cond_time_zero)
    else:
        pipeline = _released(source, config)
    if checkpoint:
        load_motion_checkpoint(pipeline.unet, checkpoint)
    pipeline.unet.drop_origin_head()  # the error of the denoising does not reach it
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, **config.noise_scheduler_kwargs)
    predicts = pipeline.scheduler.config["prediction_type"]
    if predicts not in PREDICTIONS:
        raise InputError(
            f"The model {source} predicts `{predicts}`; the training is for models that predict "
            f"{' or '.join(f'`{name}`' for name in PREDICTIONS)}."
        )
    for model in (pipeline.vae, pipeline.text_encoder, pipeline.image_encoder):
        model.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _released(mvdream: Path, config: TrainingConfig) -> MultiViewVideoPipeline:
    for part in ("unet", "vae", "text_encoder", "tokenizer"):
        existing_folder(mvdream / part, f"{part} of the base model")
    adapter = resolve(config.motion_adapter_path, what="motion adapter", patterns=ADAPTER_FILES)
    ip_adapter, encoder = ip_adapter_files(config.ip_adapter_path)
    unet = load_unet(
        mvdream,
        adapter,
        ip_adapter,
        mvdream_attn_cfg=config.mvdream_attn_cfg,
        motion_module_attn_cfg=config.motion_module_attn_cfg,
        i2v_cond_time_zero=config.i2v_cond_time_zero,
    )
    try:
        return MultiViewVideoPipeline(
            vae=AutoencoderKL.from_pretrained(mvdream / "vae"),
            text_encoder=CLIPTextModel.from_pretrained(mvdream / "text_encoder"),
            tokenizer=CLIPTokenizer.from_pretrained(mvdream / "tokenizer"),
            unet=unet,
            scheduler=DDIMScheduler(),
            feature_extractor=CLIPImageProcessorPil(),
            image_encoder=CLIPVisionModelWithProjection.from_pretrained(encoder),
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"A part of the base model {mvdream} cannot be read: {reason}") from error
