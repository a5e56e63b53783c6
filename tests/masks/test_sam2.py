"""The SAM 2 backend with a tiny random network: the real classes, no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from animate3d.errors import InputError
from animate3d.masks import BackgroundSegmenter, Sam2Segmenter, check_backend, choose_segmenter, find_weights, sam2

SIZE = 64


@pytest.fixture(scope="session")
def tiny_sam2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random network of a million parameters, for images of 64 pixels."""
    from transformers import Sam2VideoConfig, Sam2VideoModel

    torch.manual_seed(0)
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "num_attention_heads": 1,
        "image_size": [SIZE, SIZE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "global_attention_blocks": [3],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 128,
    }
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 128, "image_size": SIZE},
        mask_decoder_config={"hidden_size": 128, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
        image_size=SIZE,
        memory_attention_hidden_size=128,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=64,
        memory_attention_rope_feat_sizes=[4, 4],
        memory_encoder_hidden_size=128,
        mask_downsampler_embed_dim=128,
        memory_fuser_num_layers=1,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=64,
    )
    folder = tmp_path_factory.mktemp("models") / "sam2"
    Sam2VideoModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_mask_for_every_frame_at_the_frames_own_size(tiny_sam2: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (4, 40, 56, 3), dtype=np.uint8)
    template = np.zeros((40, 56), np.float32)
    template[10:30, 12:40] = 1
    masks = list(choose_segmenter("sam2", str(tiny_sam2), "cpu").segment(frames, template))
    assert len(masks) == 4
    np.testing.assert_array_equal(masks[0], template)
    for mask in masks[1:]:
        assert mask.shape == (40, 56) and mask.dtype == np.float32
        assert np.isfinite(mask).all() and mask.min() >= 0 and mask.max() <= 1


def test_the_template_is_the_prompt(tiny_sam2: Path) -> None:
    segmenter = Sam2Segmenter(tiny_sam2, "cpu")
    frames = np.zeros((2, 40, 56, 3), np.uint8)
    template = np.zeros((40, 56), np.float32)
    template[:20, :28] = 1
    model = segmenter._load()
    session = segmenter._session(model, frames, template)
    (prompt,) = session.mask_inputs_per_obj[0].values()
    assert prompt.shape == (1, 1, SIZE, SIZE)
    assert prompt[0, 0, :32, :32].min() == 1 and prompt.sum() == 32 * 32
    assert session.get_frame(1).shape == (3, SIZE, SIZE)
    # The network itself takes the prompt as the mask of frame 0.
    first = next(iter(model.propagate_in_video_iterator(session, start_frame_idx=0)))
    found = torch.nn.functional.interpolate(first.pred_masks, (SIZE, SIZE))[0, 0] > 0
    assert (found == prompt[0, 0].bool()).float().mean() > 0.95


def test_another_prompt_gives_other_masks(tiny_sam2: Path) -> None:
    segmenter = Sam2Segmenter(tiny_sam2, "cpu")
    frames = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    left, right = np.zeros((2, 32, 32), np.float32)
    left[:, :10] = right[:, 22:] = 1
    first, second = (list(segmenter.segment(frames, template))[1] for template in (left, right))
    assert np.abs(first - second).max() > 0


def test_auto_takes_the_background_without_weights(empty_cache: Path) -> None:
    assert find_weights() is None
    assert isinstance(choose_segmenter("auto"), BackgroundSegmenter)


def test_auto_takes_weights_that_are_in_the_cache(empty_cache: Path) -> None:
    repository = empty_cache / "models--facebook--sam2.1-hiera-tiny"
    snapshot = repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    (snapshot / "config.json").write_text("{}")
    assert find_weights() is None
    (snapshot / "model.safetensors").touch()
    assert find_weights() == snapshot
    assert choose_segmenter("auto").name == "sam2"
    assert choose_segmenter("background").name == "background"


def test_absent_weights_are_named_with_their_size_and_not_downloaded(empty_cache: Path) -> None:
    with pytest.raises(InputError, match=r"sam2\.1-hiera-large` \(about 0\.9 GB\).*hf download"):
        choose_segmenter("sam2")
    with pytest.raises(InputError, match=r"`facebook/sam2\.1-hiera-tiny` \(about 0\.16 GB\)"):
        choose_segmenter("auto", "facebook/sam2.1-hiera-tiny")
    with pytest.raises(InputError, match="of unknown size"):
        choose_segmenter("sam2", "someone/something")
    assert not empty_cache.exists() or not any(empty_cache.iterdir())


def test_a_backend_without_weights_is_refused_before_videos_are_made(empty_cache: Path) -> None:
    for backend in ("auto", "background"):
        check_backend(backend)
    with pytest.raises(InputError, match=r"hf download .*, or choose the backend `background`"):
        check_backend("sam2")
    with pytest.raises(InputError, match="`sam3` is unknown"):
        check_backend("sam3")


def test_bad_models_and_backends_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json and model\.safetensors are needed"):
        choose_segmenter("sam2", str(tmp_path))
    with pytest.raises(InputError, match="neither a folder nor a hub name"):
        choose_segmenter("sam2", str(tmp_path / "missing"))
    with pytest.raises(InputError, match="`sam3` is unknown"):
        choose_segmenter("sam3")
    with pytest.raises(InputError, match="backend `background`"):
        choose_segmenter("background", "facebook/sam2.1-hiera-tiny")


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "sam2_video"}')
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="cannot be loaded"):
        list(Sam2Segmenter(tmp_path, "cpu").segment(frames, np.ones((8, 8), np.float32)))


def test_the_network_is_loaded_when_first_used(tmp_path: Path) -> None:
    Sam2Segmenter(tmp_path / "nothing here")
    assert set(sam2.HUB_MODELS) == {f"facebook/sam2.1-hiera-{s}" for s in ("large", "base-plus", "small", "tiny")}
