"""Any image-to-video pipeline of diffusers, with tiny random ones of two families."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.wan import pipeline_wan_i2v
from PIL import Image

from animate3d.errors import InputError, MissingDependencyError
from animate3d.runs.generator import (
    STEADY,
    VideoModel,
    arguments_of,
    generate,
    load_generator,
    parse_settings,
    shape_of,
)

SILENT: list[str] = []


@pytest.fixture(scope="module")
def stable_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Video Diffusion: a UNet, no prompt."""
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        EulerDiscreteScheduler,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )
    from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, projection_dim=16
    )
    pipeline = StableVideoDiffusionPipeline(
        vae=AutoencoderKLTemporalDecoder(
            block_out_channels=(32, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            layers_per_block=1,
            latent_channels=4,
        ),
        image_encoder=CLIPVisionModelWithProjection(vision),
        unet=UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 64),
            layers_per_block=1,
            in_channels=8,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            cross_attention_dim=16,
            num_attention_heads=2,
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24,
            sample_size=16,
            num_frames=3,
        ),
        scheduler=EulerDiscreteScheduler(prediction_type="v_prediction", use_karras_sigmas=True, sigma_min=0.002),
        feature_extractor=CLIPImageProcessorPil(),
    )
    folder = tmp_path_factory.mktemp("stable_video")
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Wan: a transformer, a prompt, and a last image."""
    from diffusers import (
        AutoencoderKLWan,
        FlowMatchEulerDiscreteScheduler,
        WanImageToVideoPipeline,
        WanTransformer3DModel,
    )
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        CLIPVisionModel,
        PreTrainedTokenizerFast,
        UMT5Config,
        UMT5EncoderModel,
    )

    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=4, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2, projection_dim=4, image_size=8,
        patch_size=4,
    )  # fmt: skip
    text = UMT5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    folder = tmp_path_factory.mktemp("wan")
    pipeline = WanImageToVideoPipeline(
        vae=AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1),
        transformer=WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=36,
            out_channels=16,
            text_dim=32,
            freq_dim=16,
            ffn_dim=16,
            num_layers=1,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
            rope_max_seq_len=32,
            image_dim=4,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder=UMT5EncoderModel(text),
        tokenizer=word_tokenizer(),
        image_encoder=CLIPVisionModel(vision),
        image_processor=CLIPImageProcessorPil(crop_size=8, size=8),
    )
    assert isinstance(pipeline.tokenizer, PreTrainedTokenizerFast)
    pipeline.save_pretrained(folder)
    return folder


def word_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: place for place, word in enumerate(("<pad>", "</s>", "<unk>", "a", "dragon", "bends"))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=32
    )


def still(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))


@pytest.mark.parametrize("family", ["stable_video", "wan"])
def test_a_pipeline_of_any_family_makes_a_video_of_the_still(
    family: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_wan_i2v, "ftfy", SimpleNamespace(fix_text=str), raising=False)  # need not be installed
    folder = request.getfixturevalue(family)
    model = VideoModel(str(folder), "a dragon bends", frames=4, size=32, steps=2, settings={"width": 40})
    pipeline = load_generator(model, SILENT.append)
    pipeline.set_progress_bar_config(disable=True)
    shape = shape_of(pipeline, model)
    assert shape.fps == {"stable_video": 7, "wan": 16}[family]
    assert (shape.height, shape.width) == (32, {"stable_video": 40, "wan": 48}[family]), "sides the model can have"
    assert shape.frames == {"stable_video": 4, "wan": 5}[family], "Wan packs four frames into one latent"
    made = [generate(pipeline, model, still(shape.width, shape.height), shape) for _ in range(2)]
    assert made[0].shape == (shape.frames, shape.height, shape.width, 3)
    np.testing.assert_array_equal(*made, "the same seed makes the same video")


def test_the_models_own_size_is_taken_without_another(stable_video: Path, wan: Path) -> None:
    own = [shape_of(load_generator(VideoModel(str(f)), SILENT.append), VideoModel(str(f))) for f in (stable_video, wan)]
    assert [(shape.width, shape.height, shape.frames) for shape in own] == [(1024, 576, 3), (832, 480, 81)]


def test_a_loop_ends_with_the_still_where_the_model_takes_a_last_image(stable_video: Path, wan: Path) -> None:
    for folder, takes in ((stable_video, False), (wan, True)):
        model = VideoModel(str(folder), "a dragon bends", loop=True)
        pipeline = load_generator(model, SILENT.append)
        given = arguments_of(pipeline, model, still(32, 32), shape_of(pipeline, model))
        assert ("last_image" in given) == takes
        assert given.get("prompt") == (f"a dragon bends{STEADY}" if takes else None)


def test_settings_pass_through_and_unknown_ones_are_refused(wan: Path) -> None:
    settings = parse_settings(("guidance_scale=3.5", "negative_prompt=blurred", "max_sequence_length=16"))
    assert settings == {"guidance_scale": 3.5, "negative_prompt": "blurred", "max_sequence_length": 16}
    model = VideoModel(str(wan), "a dragon bends", settings=settings)
    pipeline = load_generator(model, SILENT.append)
    given = arguments_of(pipeline, model, still(32, 32), shape_of(pipeline, model))
    assert {name: given[name] for name in settings} == settings
    wrong = VideoModel(str(wan), "a dragon bends", settings={"motion_bucket_id": 3})
    with pytest.raises(InputError, match=r"takes no setting `motion_bucket_id`; it takes .*negative_prompt"):
        arguments_of(pipeline, wrong, still(32, 32), shape_of(pipeline, wrong))
    silent = VideoModel(str(wan))
    with pytest.raises(InputError, match="give --prompt too"):
        arguments_of(pipeline, silent, still(32, 32), shape_of(pipeline, silent))


def test_what_is_no_image_to_video_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no folder of a diffusers pipeline"):
        load_generator(VideoModel(str(tmp_path)), SILENT.append)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "DDPMPipeline"}))
    with pytest.raises(InputError, match="is a DDPMPipeline, which makes no video from an image"):
        load_generator(VideoModel(str(tmp_path)), SILENT.append)
    with pytest.raises(InputError, match="key=value"):
        parse_settings(("steps",))
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="forbids to download"):
        load_generator(VideoModel("nobody/no-such-model"), SILENT.append)


def test_a_package_that_a_pipeline_lacks_is_named(wan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pipeline_wan_i2v, "ftfy", raising=False)
    model = VideoModel(str(wan), "a dragon bends", frames=5, size=16, steps=1, settings={"width": 16})
    pipeline = load_generator(model, SILENT.append)
    with pytest.raises(MissingDependencyError, match="pip install ftfy"):
        generate(pipeline, model, still(16, 16), shape_of(pipeline, model))


def test_weights_that_could_run_code_are_not_read(stable_video: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(stable_video, tmp_path / "model")
    weights = tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(InputError, match="it needs safetensors files"):
        load_generator(VideoModel(str(tmp_path / "model")), SILENT.append)
