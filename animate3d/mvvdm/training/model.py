"""The models of a training, from the sources that its config names."""

from __future__ import annotations

from animate3d.errors import InputError
from animate3d.mvvdm.convert import assemble
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.training.config import TrainingConfig

PREDICTIONS = ("epsilon", "v_prediction")


def load_models(config: TrainingConfig) -> MultiViewVideoPipeline:
    """All models in float32 on the CPU, those in front of the UNet frozen.

    Without a motion checkpoint the new parts start as the method says: the adapter's output is zero, and both branches
    of the motion modules count alike.

    Raises:
        InputError: a source is missing, damaged, or does not fit.
    """
    pipeline = assemble(vars(config), config.unet_checkpoint_path, untrained=True)
    pipeline.unet.register_to_config(i2v_cond_time_zero=config.i2v_cond_time_zero)
    pipeline.unet.drop_origin_head()  # the error of the denoising does not reach it
    predicts = pipeline.scheduler.config["prediction_type"]
    if predicts not in PREDICTIONS:
        raise InputError(
            f"The model {config.pretrained_model_path} predicts `{predicts}`; the training is for models that predict "
            f"{' or '.join(f'`{name}`' for name in PREDICTIONS)}."
        )
    for model in (pipeline.vae, pipeline.text_encoder, pipeline.image_encoder):
        model.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
