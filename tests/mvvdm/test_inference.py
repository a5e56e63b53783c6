"""inference.py and split_gif.py from files to files, with the tiny model."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from animate3d.errors import InputError
from animate3d.frames import load_frames, save_gif
from animate3d.mvvdm import inference, inference_command
from animate3d.mvvdm.inference import VideoRequest, result_name
from animate3d.mvvdm.model.compiled import Compiler
from animate3d.mvvdm.split import split
from animate3d.mvvdm.tiny import main as write_tiny

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTED = {
    *("i2v_cond_time_zero", "output_dir", "pretrained_model_path", "motion_adapter_path", "ip_adapter_path"),
    *("mvdream_attn_cfg", "motion_module_attn_cfg", "freeinit_enabled", "freeinit_num_iters", "i2v_similarity_init"),
    *("noise_scheduler_kwargs", "seed", "steps", "guidance_scale"),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    assert write_tiny([str(folder)]) == 0
    return folder


@pytest.fixture()
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for view in range(5):  # the static render leaves five
        pixels = random.integers(0, 255, (96, 96, 4), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{view}.png")
        Image.fromarray(pixels).save(folder / f"fox_{view}.png")
    return folder


def arguments(weights: Path, images: Path, out: Path, *extra: str) -> list[str]:
    return [
        *("--config", str(ROOT / "configs" / "inference" / "inference.yaml"), "--weights", str(weights)),
        *("--W", "64", "--H", "64", "--L", "3", "--N", "2", "--ip_image_root", str(images)),
        *("--prompt", "A fox runs. Fast", "--save_name", "a/b", "--output_dir", str(out)),
        *("--steps", "1", "--freeinit_num_iters", "0", *extra),
    ]


def test_the_command_writes_gif_video_and_lossless_frames_under_documented_names(
    weights: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert inference_command.main(arguments(weights, images, out, "--seed", "1", "2")) == 0
    folder = out / "a" / "b"
    for name in ("0-A-fox-runs.-Fast", "1-A-fox-runs.-Fast"):
        assert (folder / f"{name}.mp4").stat().st_size > 0
        with Image.open(folder / f"{name}.gif") as gif:
            assert gif.size == (128, 64)
        assert load_frames(folder / name, 2, 3, alpha=False).shape == (2, 3, 64, 64, 4)
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    assert saved["seed"] == [1, 2]
    assert saved["prompt"] == "A fox runs. Fast"
    assert capsys.readouterr().out.count("wrote ") == 2


def test_existing_results_are_reused_or_replaced_and_that_is_said(
    weights: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = arguments(weights, images, tmp_path / "out")
    gif = tmp_path / "out" / "a" / "b" / "0-A-fox-runs.-Fast.gif"
    monkeypatch.setattr(inference, "_kept", {})  # the model, between the calls

    def told(*extra: str) -> str:
        inference_command.main([*command, *extra])
        return capsys.readouterr().out

    assert told().startswith("wrote")
    before = gif.read_bytes()
    assert told().startswith("reused")
    assert told("--force").startswith("replaced")
    gif.unlink()
    assert told().startswith("replaced")
    assert gif.read_bytes() == before
    assert told("--guidance_scale", "1").startswith("replaced")


def test_a_result_of_weights_that_were_replaced_is_made_anew(
    weights: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copytree(weights, tmp_path / "weights"))
    command = arguments(own, images, tmp_path / "out")
    inference_command.main(command)
    (own / "model_index.json").touch()
    capsys.readouterr()
    inference_command.main(command)
    assert capsys.readouterr().out.startswith("replaced")


def test_flags_of_speed_and_memory_reach_the_model_and_the_record(
    weights: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[dict[str, object]] = []
    monkeypatch.setattr(inference_command, "run", lambda config, **_: configs.append(config))
    for extra in ([], ["--compile"], ["--compile", "--quantize", "int8"]):
        inference_command.main(arguments(weights, images, tmp_path / "out", *extra))
    request = VideoRequest(tuple(images / f"{view}.png" for view in range(2)), "it runs")
    plain, compiled, quantised = (inference.record_of(request, config, None) for config in configs)
    assert plain == compiled != quantised
    unet = inference.load_pipeline(configs[2], None).unet
    assert isinstance(unet.compiler, Compiler)
    assert unet.mid_block.attentions[0].proj_in.parametrizations.weight.original0.dtype == torch.int8
    with pytest.raises(InputError, match="`quantize` is 'int4'; it can be int8, or null"):
        inference.load_pipeline({**configs[0], "quantize": "int4"}, None)


@pytest.mark.slow
def test_many_prompts_give_the_results_of_each_alone(weights: Path, images: Path, tmp_path: Path) -> None:
    alone, many = tmp_path / "alone", tmp_path / "many"
    inference_command.main(arguments(weights, images, alone))
    inference_command.main(
        [*arguments(weights, images, alone, "--ip_image_name", "fox"), "--seed", "5", "--prompt", "It ran"]
    )
    table = tmp_path / "prompts.csv"
    table.write_text("prompt,ip_image_name,seed\nA fox runs. Fast,,\nIt ran,fox,5\nIt is lost,wolf,\n")
    command = [word for word in arguments(weights, images, many) if word not in ("--prompt", "A fox runs. Fast")]
    assert inference_command.main([*command, "--prompts", str(table)]) == 1  # nobody has images of the wolf
    for name in ("0-A-fox-runs.-Fast", "0-It-ran"):
        for index in range(6):
            made, wanted = (folder / "a" / "b" / name / f"{index}.png" for folder in (many, alone))
            assert made.read_bytes() == wanted.read_bytes()
    assert yaml.safe_load((many / "a" / "b" / "config.yaml").read_text())["prompt"][1] == "It ran"
    table.write_text("prompt\nIt ran\nIt ran\n")
    with pytest.raises(InputError, match="the same ten words"):
        inference_command.main([*command, "--prompts", str(table)])


def test_splitting_takes_the_lossless_frames_where_they_exist(weights: Path, images: Path, tmp_path: Path) -> None:
    inference_command.main(arguments(weights, images, tmp_path, "--ip_image_name", "fox"))
    gif = tmp_path / "a" / "b" / "0-A-fox-runs.-Fast.gif"
    folder, lossless = split(gif, tmp_path / "split")
    assert lossless
    assert folder == tmp_path / "split" / "0-A-fox-runs.-Fast"
    for index in range(6):
        original = (gif.with_name(gif.stem) / f"{index}.png").read_bytes()
        assert (folder / f"{index}.png").read_bytes() == original
    with pytest.raises(InputError, match="was made with 2 views, not 4"):
        split(gif, tmp_path / "split", 4)
    gif.with_name(gif.stem + ".json").unlink()
    folder, lossless = split(gif, tmp_path / "from_gif")
    assert not lossless
    assert load_frames(folder, 2, 3, alpha=False).shape == (2, 3, 64, 64, 4)


def tool(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_gif_splits_into_any_number_of_views_and_keeps_repeated_frames(tmp_path: Path) -> None:
    views, frames = 3, 4
    pixels = np.zeros((frames, 8, 8 * views, 3), np.uint8)
    for frame in range(frames):
        for view in range(views):
            pixels[frame, :, 8 * view : 8 * view + 8] = 40 * view + 40 * min(frame, 2)  # the last two are equal
    save_gif(tmp_path / "x.gif", pixels, 8)
    command = ["--gif_path", str(tmp_path / "x.gif"), "--output_folder", str(tmp_path / "out")]
    assert tool("split_gif").main(command) == 0
    loaded = load_frames(tmp_path / "out" / "x", views, frames, alpha=False)
    values = (loaded[..., 0, 0, 0] * 255).round().int().tolist()
    assert values == [[40 * view + 40 * min(frame, 2) for frame in range(frames)] for view in range(views)]
    with pytest.raises(InputError, match="5 views of equal width do not fill"):
        split(tmp_path / "x.gif", tmp_path / "out", 5)
    (tmp_path / "bad.gif").write_bytes(b"no")
    with pytest.raises(InputError, match="damaged or no GIF"):
        split(tmp_path / "bad.gif", tmp_path / "out")


def test_the_shell_script_passes_the_prompt_on() -> None:
    words = ["1", "inference", "A lion is attacking.", "root", "051a", "vdm/inference"]
    command = ["bash", str(ROOT / "inference.sh"), *words]
    done = subprocess.run(command, env={**os.environ, "PYTHON": "echo"}, capture_output=True, text=True, check=True)
    for part in (
        "--config configs/inference/inference.yaml",
        "--prompt A lion is attacking. ",
        "--ip_image_root root --ip_image_name 051a",
        "--save_name vdm/inference",
        "--pretrained_unet_path pretrained_models/animate3d_motion_modules.ckpt",
    ):
        assert part in done.stdout
    assert subprocess.run(command[:4], capture_output=True, check=False).returncode == 2


def test_the_config_has_exactly_the_documented_keys() -> None:
    config = yaml.safe_load((ROOT / "configs" / "inference" / "inference.yaml").read_text())
    assert set(config) == DOCUMENTED
    assert config["seed"] == [8673]


def test_result_names_are_the_first_ten_words() -> None:
    assert result_name(0, "a wooden dragon head is roaring") == "0-a-wooden-dragon-head-is-roaring"
    assert result_name(1, " ".join("abcdefghijklm")) == "1-a-b-c-d-e-f-g-h-i-j"
    assert "/" not in result_name(0, "../x/y")


def test_bad_input_is_one_clear_sentence(weights: Path, images: Path, tmp_path: Path) -> None:
    cases = {
        ("--N", "9"): "lacks 5.png, 6.png, 7.png, 8.png",
        ("--ip_image_name", "cat"): "lacks cat_0.png",
        ("--W", "72"): "multiples of 64",
        ("--W", "0"): "a multiple of 8 pixels, at least 8, got 0",
        ("--H", "-8"): "a multiple of 8 pixels, at least 8, got -8",
        ("--L", "1"): "at least 2 frames, got 1",
        ("--steps", "0"): "denoising steps must be at least 1, got 0",
        ("--guidance_scale", "nan"): "guidance scale must be a number, got nan",
        ("--freeinit_num_iters", "-1"): "FreeInit must be at least 0, which turns it off, got -1",
        ("--seed", "1", "-2"): "The seed is -2; it lies between 0 and 4294967295, or is -1 for a random one",
        ("--seed", "99999999999"): "The seed is 99999999999; it lies between",
        ("--device", "tpu9"): "`tpu9` is not known",
        ("--dtype", "int8"): "`int8` is not known",
        ("--offload", "--device", "cpu"): "nothing to move",
        ("--weights", str(tmp_path)): "unet of the base model|base model alone",
        ("--config", "absent.yaml"): "absent.yaml exists neither",
    }
    for extra, message in cases.items():
        with pytest.raises(InputError, match=message):
            inference_command.main(arguments(weights, images, tmp_path / "out", *extra))
    (images / "1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"1.png is damaged"):
        inference_command.main(arguments(weights, images, tmp_path / "out"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("guidance_scal: 3", r"own.yaml: there is no key `guidance_scal` \(near: guidance_scale"),
        ("steps: 3", "own.yaml: the key `pretrained_model_path` is missing"),
        ("{pretrained_model_path: x, steps: many}", "`steps` is 'many'; it is a number"),
        ("{pretrained_model_path: x, seed: 1.5}", "The seed is 1.5; give a whole number"),
        ("steps: 3\nseed: [1, 2", "own.yaml cannot be read: .*flow sequence.* line 2, column 7 .*expected"),
    ],
)
def test_a_config_that_cannot_be_used_is_one_sentence_that_names_the_key(
    tmp_path: Path, config: str, message: str
) -> None:
    (tmp_path / "own.yaml").write_text(config)
    with pytest.raises(InputError, match=message) as error:
        inference_command.main(["--config", str(tmp_path / "own.yaml"), "--prompt", "x", "--ip_image_root", "x"])
    assert "\n" not in str(error.value)


def test_the_config_beside_results_is_read_again(tmp_path: Path) -> None:
    config = inference.read_inference_config(ROOT / "configs" / "inference" / "inference.yaml")
    inference.write_config(tmp_path, config, "it runs")
    assert inference.read_inference_config(tmp_path / "config.yaml") == {**config, "prompt": "it runs"}


@pytest.mark.parametrize("seed", ["--5", "²", "-2", "4294967296"])
def test_a_seed_of_a_table_that_is_none_is_named_with_its_row(tmp_path: Path, seed: str) -> None:
    (tmp_path / "rows.csv").write_text(f"prompt,seed\nit runs,-1\nit runs,{seed}\n")
    with pytest.raises(InputError, match=rf"Row 2 of .*rows.csv: the seed is '?{seed}"):
        inference_command.main(["--prompts", str(tmp_path / "rows.csv"), "--ip_image_root", "x"])


@pytest.mark.parametrize(("given", "seed"), [(1e3, 1000), ("7", 7), (-1, -1)])
def test_seeds_may_be_written_as_a_config_has_them(given: object, seed: int) -> None:
    assert inference.checked_seed(given, "The seed") == seed


def test_damaged_weights_are_one_clear_sentence(weights: Path, tmp_path: Path) -> None:
    import shutil

    from animate3d.mvvdm.convert import load_converted

    broken = tmp_path / "broken"
    shutil.copytree(weights, broken)
    unet = broken / "unet" / "diffusion_pytorch_model.safetensors"
    whole = unet.read_bytes()
    unet.write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="incomplete or damaged"):
        load_converted(broken)
    unet.write_bytes(whole)
    encoder = broken / "image_encoder" / "model.safetensors"
    content = encoder.read_bytes()
    encoder.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=rf"incomplete or damaged: {encoder}: "):
        load_converted(broken)
    (broken / "image_encoder" / "config.json").write_text("[1]")
    with pytest.raises(InputError, match="incomplete or damaged"):
        load_converted(broken)
    shutil.rmtree(broken / "vae")
    with pytest.raises(InputError, match="incomplete or damaged"):
        load_converted(broken)
    for index in ({"_class_name": "Other"}, [1]):
        (broken / "model_index.json").write_text(json.dumps(index))
        with pytest.raises(InputError, match="not a folder made by"):
            load_converted(broken)
