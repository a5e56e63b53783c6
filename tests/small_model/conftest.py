"""The bundled model's parts before any training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.small_model import models
from animate3d.small_model.encoders import all_words


@pytest.fixture(scope="session")
def untrained() -> Callable[[], MultiViewVideoPipeline]:
    """Makes a new model, the same one each time."""

    def make() -> MultiViewVideoPipeline:
        torch.manual_seed(0)
        tokenizer, autoencoder = models.build_tokenizer(all_words()), models.build_autoencoder()
        autoencoder.fit(torch.rand(8, 3, 64, 64) * 2 - 1)
        pipeline = MultiViewVideoPipeline(
            vae=autoencoder,
            text_encoder=models.build_text_encoder(tokenizer),
            tokenizer=tokenizer,
            unet=models.build_unet(8, 4),
            scheduler=models.build_scheduler(),
            feature_extractor=models.build_feature_extractor(),
            image_encoder=models.build_image_encoder(),
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return make
