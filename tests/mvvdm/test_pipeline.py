"""The pipeline against the reference's recorded runs, and what diffusers users expect of one."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, EulerDiscreteScheduler
from diffusers.models.attention_processor import AttnProcessor2_0
from golden.subset import kept
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from animate3d.errors import InputError
from animate3d.mvvdm import noise, pipeline
from animate3d.mvvdm.conditions import prepare_images, to_tensor
from animate3d.mvvdm.free_init import low_pass
from animate3d.mvvdm.model.unet import MultiViewUNet
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.tiny import NOISE_SCHEDULE, tiny_pipeline
from animate3d.mvvdm.weights import unet_arguments

PROMPT = "a wooden dragon head is roaring"
CASES = [
    "no_freeinit",
    "freeinit2",
    "global_rng_like_inference_py_condtimezero",
    pytest.param("freeinit2_global_rng", marks=pytest.mark.slow),
    "generator_no_cfg",
    "similarity_init",
]


@pytest.fixture(scope="module")
def reference(golden: Path) -> MultiViewVideoPipeline:
    """The recorded tiny pipeline."""
    parts = golden / "tiny_components"
    settings = json.loads((golden / "unet_tiny" / "config.json").read_text())
    unet = MultiViewUNet(**unet_arguments(settings["unet"], settings["motion_adapter"]), image_embed_dim=24)
    unet.load_state_dict(load_file(parts / "unet" / "diffusion_pytorch_model.safetensors"))
    pipe = MultiViewVideoPipeline(
        vae=AutoencoderKL.from_pretrained(parts / "vae").eval(),
        text_encoder=CLIPTextModel.from_pretrained(parts / "text_encoder").eval(),
        tokenizer=CLIPTokenizer.from_pretrained(parts / "tokenizer"),
        unet=unet.eval(),
        scheduler=DDIMScheduler(**NOISE_SCHEDULE),
        feature_extractor=CLIPImageProcessorPil.from_pretrained(parts / "feature_extractor"),
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(parts / "image_encoder").eval(),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def recorded(golden: Path) -> dict[str, Tensor]:
    return load_file(golden / "pipeline_tiny" / "cases.safetensors")


def pictures(pixels: Tensor) -> list[Image.Image]:
    return [Image.fromarray(image.numpy()) for image in pixels]


@pytest.mark.parametrize("name", CASES)
def test_every_recorded_run_is_reproduced(
    golden: Path,
    reference: MultiViewVideoPipeline,
    recorded: dict[str, Tensor],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = json.loads((golden / "pipeline_tiny" / "cases.json").read_text())["cases"][name]
    tensors = {key.removeprefix(f"{name}."): value for key, value in recorded.items() if key.startswith(f"{name}.")}
    random = iter(sorted((key, value) for key, value in tensors.items() if key.startswith("rng.")))

    def replay(shape: torch.Size, *_: object) -> Tensor:
        value = next(random)[1]
        assert value.shape == shape
        return value

    monkeypatch.setattr(pipeline, "normal", replay)
    monkeypatch.setattr(pipeline, "uniform", replay)
    trace: list[Tensor] = []

    def record(pipe: object, step: int, timestep: Tensor, given: dict[str, Tensor]) -> dict[str, Tensor]:
        trace.append(torch.cat([given["first_frame"], given["latents"]], dim=2))
        return {}

    if case["freeinit_iters"]:
        reference.enable_free_init(num_iters=case["freeinit_iters"])
    reference.unet.register_to_config(i2v_cond_time_zero=case.get("i2v_cond_time_zero", False))
    try:
        final = reference(
            PROMPT,
            pictures(recorded["images_u8"]),
            num_frames=case["F"],
            num_inference_steps=case["steps"],
            guidance_scale=case["guidance_scale"],
            negative_prompt=case["negative_prompt"],
            latents=tensors.get("latents_in"),
            i2v_similarity_init=case.get("i2v_similarity_init"),
            output_type="latent",
            callback_on_step_end=record,
            callback_on_step_end_tensor_inputs=("latents", "first_frame"),
        ).frames
    finally:
        reference.disable_free_init()
        reference.unet.register_to_config(i2v_cond_time_zero=False)
    assert next(random, None) is None
    expected = tensors["trace"]
    # Four steps with guidance 7.5 on random weights amplify rounding: latents reach 55.
    limit = max(1e-4, 4e-6 * float(expected.abs().max()))
    assert float((kept(torch.stack(trace), expected) - expected).abs().max()) < limit
    expected = tensors["latents_final"]
    assert float((kept(final, expected) - expected).abs().max()) < limit
    if (expected := tensors.get("frames_pt")) is not None:
        assert float((kept(reference.decode_latents(final), expected) - expected).abs().max()) < 1e-4
    if "free_init_filter" in tensors:
        low = low_pass(*tensors["free_init_filter"].shape[-3:])
        torch.testing.assert_close(low.expand(1, 4, -1, -1, -1), tensors["free_init_filter"])


def test_conditions_match_the_reference(reference: MultiViewVideoPipeline, recorded: dict[str, Tensor]) -> None:
    reference._guidance_scale = 7.5
    negative, positive = reference.encode_prompt(PROMPT, "", 1)
    torch.testing.assert_close(positive, recorded["prompt_embeds"][0], atol=1e-5, rtol=0)
    torch.testing.assert_close(negative, recorded["negative_prompt_embeds"][0], atol=1e-5, rtol=0)
    embeds = reference._image_embeds(pictures(recorded["images_u8"]))
    torch.testing.assert_close(embeds[4:], recorded["image_embeds"], atol=1e-5, rtol=0)
    assert not embeds[:4].any()


def test_images_of_another_size_are_resized_as_the_reference_does(
    reference: MultiViewVideoPipeline, recorded: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "images_other_size_u8" not in recorded:
        pytest.skip("these images are in the large set only")
    drawn = recorded["encode_latents_resized.rng.00.vae_posterior"]
    monkeypatch.setattr(pipeline, "normal", lambda *_: drawn)
    pixels = to_tensor(pictures(recorded["images_other_size_u8"]), 64, 64)
    expected = recorded["encode_latents_resized.antialias_False"]
    torch.testing.assert_close(reference.encode_images(pixels), expected, atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def tiny() -> MultiViewVideoPipeline:
    pipe = tiny_pipeline()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def random_images(count: int, size: int = 64, seed: int = 0) -> list[Image.Image]:
    pixels = np.random.default_rng(seed).integers(0, 255, (count, size, size, 3), dtype=np.uint8)
    return [Image.fromarray(image) for image in pixels]


def generate(pipe: MultiViewVideoPipeline, images: object, **kwargs: object) -> object:
    defaults: dict[str, object] = {"num_frames": 3, "num_inference_steps": 2, "output_type": "pt"}
    return pipe(kwargs.pop("prompt", PROMPT), images, **{**defaults, **kwargs}).frames


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_folders_written_before_the_unet_moved_still_load(tiny: MultiViewVideoPipeline, tmp_path: Path) -> None:
    tiny.save_pretrained(tmp_path)
    index = tmp_path / "model_index.json"
    index.write_text(index.read_text().replace("animate3d.mvvdm.model.unet", "animate3d.mvvdm.unet"))
    assert "animate3d.mvvdm.unet" in index.read_text()
    assert type(MultiViewVideoPipeline.from_pretrained(tmp_path).unet) is type(tiny.unet)


def test_the_same_seed_gives_the_same_frames_after_saving_and_loading(
    tiny: MultiViewVideoPipeline, tmp_path: Path
) -> None:
    tiny.save_pretrained(tmp_path)
    loaded = MultiViewVideoPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    for name in ("unet", "vae", "text_encoder", "image_encoder"):
        before, after = getattr(tiny, name).state_dict(), getattr(loaded, name).state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    images = random_images(4)
    first, again = (generate(pipe, images, generator=seeded(3)) for pipe in (tiny, loaded))
    assert torch.equal(first, again)
    assert not torch.equal(first, generate(tiny, images, generator=seeded(4)))
    assert first.shape == (1, 4, 3, 3, 64, 64)


def test_two_objects_in_one_call_equal_two_calls(tiny: MultiViewVideoPipeline) -> None:
    objects = [random_images(2, seed=1), random_images(2, seed=2)]
    prompts = ["a dog runs", "a bird flies"]
    tiny.enable_free_init(num_iters=2)
    similarity = {"strength": 0.6, "origin_prob": 0.3}
    both = generate(tiny, objects, prompt=prompts, generator=[seeded(1), seeded(2)], i2v_similarity_init=similarity)
    single = [
        generate(tiny, images, prompt=prompt, generator=seeded(seed), i2v_similarity_init=similarity)
        for images, prompt, seed in zip(objects, prompts, (1, 2), strict=True)
    ]
    tiny.disable_free_init()
    torch.testing.assert_close(both, torch.cat(single), atol=1e-4, rtol=0)


def test_sequential_guidance_gives_the_same_result(tiny: MultiViewVideoPipeline) -> None:
    images = random_images(4)
    together = generate(tiny, images, generator=seeded(0))
    in_turn = generate(tiny, images, generator=seeded(0), sequential_guidance=True)
    torch.testing.assert_close(together, in_turn, atol=1e-4, rtol=0)


def test_views_frames_size_and_scheduler_are_free(tiny: MultiViewVideoPipeline) -> None:
    for views, frames, height, width in ((1, 2, 64, 128), (3, 5, 128, 64)):
        out = generate(tiny, random_images(views), num_frames=frames, height=height, width=width, output_type="np")
        assert out.shape == (1, views, frames, height, width, 3)
        assert out.dtype == np.float32
    scheduler = tiny.scheduler
    tiny.scheduler = EulerDiscreteScheduler.from_config(scheduler.config)
    out = generate(tiny, random_images(2), output_type="pil")
    tiny.scheduler = scheduler
    assert out[0][1][2].size == (64, 64)


def test_frame_zero_is_the_condition_image(tiny: MultiViewVideoPipeline) -> None:
    images = random_images(2)
    latents = generate(tiny, images, generator=seeded(5), output_type="latent")
    expected = tiny.encode_images(to_tensor(images, 64, 64), [seeded(5)])
    assert torch.equal(latents[:, :, 0], expected)


def test_a_callback_can_stop_the_run_and_replace_latents(tiny: MultiViewVideoPipeline) -> None:
    steps: list[int] = []

    def stop(pipe: MultiViewVideoPipeline, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict:
        steps.append(step)
        pipe.interrupt = True
        return {"latents": torch.zeros_like(tensors["latents"])}

    latents = generate(tiny, random_images(2), num_inference_steps=5, callback_on_step_end=stop, output_type="latent")
    assert steps == [0]
    assert not latents[:, :, 1:].any()


def test_no_switch_of_diffusers_drops_the_attention_processors(tiny: MultiViewVideoPipeline) -> None:
    before = dict(tiny.unet.attn_processors)
    tiny.disable_xformers_memory_efficient_attention()
    tiny.enable_attention_slicing()
    tiny.disable_attention_slicing()
    tiny.enable_freeu(0.9, 0.2, 1.2, 1.4)
    tiny.disable_freeu()
    for switch in (tiny.fuse_qkv_projections, lambda: tiny.unet.set_attn_processor(AttnProcessor2_0())):
        with pytest.raises(InputError, match="processors"):
            switch()
    assert all(tiny.unet.attn_processors[name] is processor for name, processor in before.items())


@pytest.mark.slow
def test_half_precision_runs(tmp_path: Path) -> None:
    pipe = tiny_pipeline().to(torch.bfloat16)
    pipe.set_progress_bar_config(disable=True)
    frames = generate(pipe, random_images(2))
    assert frames.dtype == torch.float32
    assert torch.isfinite(frames).all()


def test_vae_slicing_and_tiling_leave_the_frames(tiny: MultiViewVideoPipeline) -> None:
    images = random_images(2)
    plain = generate(tiny, images, generator=seeded(0))
    tiny.vae.enable_slicing()
    torch.testing.assert_close(generate(tiny, images, generator=seeded(0), decode_chunk_size=2), plain)
    tiny.vae.disable_slicing()


def test_transparent_white_and_oblong_images_are_put_right_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    transparent = Image.new("RGBA", (10, 20), (255, 0, 0, 0))
    white = Image.new("RGB", (8, 8), (255, 255, 255))
    with caplog.at_level(logging.WARNING):
        first, second = prepare_images([transparent, white], 64, 64)
    assert first.size == (20, 20)
    assert first.getpixel((10, 10)) == first.getpixel((0, 0)) == (128, 128, 128)
    assert second.getpixel((0, 0)) == (255, 255, 255)
    for part in ("transparent pixels", "padded with grey to 20x20", "white background"):
        assert part in caplog.text
    caplog.clear()
    prepare_images([Image.new("RGB", (8, 8), (128, 128, 128))], 64, 64)
    assert not caplog.text


def test_a_prompt_that_is_too_long_says_what_was_cut(
    tiny: MultiViewVideoPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        tiny.encode_prompt("a" * 75 + " zebra", None, 1)
    assert "zebra" in caplog.text.replace(" ", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"height": 100}, "multiples of 64"),
        ({"num_frames": 33}, "makes 2 to 32"),
        ({"num_frames": 1}, "makes 2 to 32"),
        ({"output_type": "gif"}, "`output_type` is `gif`"),
        ({"prompt": ["a", "b"]}, "2 prompts for 1 objects"),
        ({"prompt": None}, "either `prompt` or"),
        ({"generator": [torch.Generator(), torch.Generator()]}, "2 generators for 1 objects"),
        ({"latents": torch.zeros(2, 4, 3, 8, 8)}, "`latents` has the shape"),
        ({"camera": torch.zeros(3, 16)}, r"need \[2, 16\]"),
        ({"images": []}, "`images` is empty"),
        ({"images": [random_images(2), random_images(3)]}, r"these have \[2, 3\]"),
        ({"images": ["a.png"]}, "give PIL images"),
        ({"i2v_similarity_init": {"strength": 0.0, "origin_prob": 0.2}}, "0 < strength"),
        ({"callback_on_step_end_tensor_inputs": ("noise",)}, "cannot have `noise`"),
    ],
)
def test_wrong_arguments_are_one_clear_error(
    tiny: MultiViewVideoPipeline, arguments: dict[str, object], message: str
) -> None:
    images = arguments.pop("images") if "images" in arguments else random_images(2)
    with pytest.raises(InputError, match=message):
        generate(tiny, images, **arguments)


def test_random_numbers_of_a_sample_do_not_depend_on_its_neighbours() -> None:
    shape, device = torch.Size((4, 2)), torch.device("cpu")
    for draw in (noise.normal, noise.uniform):
        both = draw(shape, [seeded(1), seeded(2)], device, torch.float32)
        assert torch.equal(both[2:], draw(torch.Size((2, 2)), [seeded(2)], device, torch.float32))
