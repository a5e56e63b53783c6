"""Reading the released weights in every published form, and refusing everything else by name."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from animate3d.errors import InputError
from animate3d.mvvdm import convert
from animate3d.mvvdm.model.unet import MultiViewUNet, is_trained
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.weights import load_motion_checkpoint, resolve


def same(left: torch.nn.Module, right: torch.nn.Module) -> bool:
    before, after = left.state_dict(), right.state_dict()
    return before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


def test_the_released_parts_give_the_whole_model_back(
    whole: MultiViewVideoPipeline, releases: Path, config: dict, tmp_path: Path
) -> None:
    pipeline = convert.assemble(config, releases / "motion.ckpt")
    for part in ("unet", "vae", "text_encoder", "image_encoder"):
        assert same(getattr(pipeline, part), getattr(whole, part)), part
    convert.convert(tmp_path / "one", config, releases / "motion.ckpt")
    loaded = MultiViewVideoPipeline.from_pretrained(tmp_path / "one")
    assert same(loaded.unet, whole.unet)
    assert dict(loaded.unet.config)["num_attention_heads"] == 8
    again = convert.assemble({**config, "pretrained_model_path": str(tmp_path / "one")})
    assert same(again.unet, whole.unet)


def test_the_ip_adapter_may_be_a_safetensors_file(
    whole: MultiViewVideoPipeline, releases: Path, config: dict, tmp_path: Path
) -> None:
    content = torch.load(releases / "ip" / "models" / "ip-adapter_sd15.bin", weights_only=True)
    flat = {f"{part}.{key}": value for part, tensors in content.items() for key, value in tensors.items()}
    save_file(flat, tmp_path / "adapter.safetensors")
    (tmp_path / "image_encoder").symlink_to(releases / "ip" / "models" / "image_encoder")
    pipeline = convert.assemble(
        {**config, "ip_adapter_path": str(tmp_path / "adapter.safetensors")}, releases / "motion.ckpt"
    )
    assert same(pipeline.unet, whole.unet)


@pytest.mark.parametrize("kind", ["bare", "training", "module", "whole", "safetensors"])
def test_a_motion_checkpoint_loads_in_every_form(whole: MultiViewVideoPipeline, tmp_path: Path, kind: str) -> None:
    trained = {key: value.clone() for key, value in whole.unet.state_dict().items() if is_trained(key)}
    path = tmp_path / ("motion.safetensors" if kind == "safetensors" else "motion.ckpt")
    if kind == "bare":
        torch.save(trained, path)
    elif kind == "training":
        torch.save({"epoch": 3, "global_step": 9, "state_dict": trained, "optimizer": {"state": {}}}, path)
    elif kind == "module":
        torch.save({"state_dict": {f"module.{key}": value for key, value in trained.items()}}, path)
    elif kind == "whole":
        torch.save(whole.unet.state_dict(), path)
    else:
        save_file(trained, path)
    unet = MultiViewUNet.from_config(whole.unet.config)
    load_motion_checkpoint(unet, path)
    loaded = unet.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in trained.items())


def dropped(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    first = next(key for key in tensors if part in key)
    return {key: value for key, value in tensors.items() if key != first}


def test_a_checkpoint_that_does_not_fit_is_one_error_that_names_keys_and_kind(
    whole: MultiViewVideoPipeline, releases: Path, tmp_path: Path
) -> None:
    state = whole.unet.state_dict()
    trained = {k: v for k, v in state.items() if is_trained(k)}
    frozen = {k: v for k, v in state.items() if not is_trained(k)}
    wider = {**trained}
    key = next(key for key in trained if key.endswith("to_q_sp.weight"))
    wider[key] = torch.zeros(4, 4)
    old = {
        k.replace("attn1.processor.time_pos_embed.pe", "pos_embed.pe"): v
        for k, v in trained.items()
        if "processor." not in k or "attn1.processor.time_pos" in k
    }
    cases = {
        "motion_part": (dropped(trained, "to_out_sp"), "missing .*to_out_sp"),
        "frozen_part": (dropped(dict(state), "conv_in"), "only part of the frozen weights"),
        "adapter": (old, "AnimateDiff motion adapter"),
        "image": (frozen, "image UNet"),
        "shape": (wider, r"1 of another shape \(.*to_q_sp.weight: \[4, 4\]"),
        "foreign": ({"model.diffusion_model.x": torch.zeros(1)}, "full Stable Diffusion"),
        "gaussians": ({"geometry._xyz": torch.zeros(1)}, "4D reconstruction"),
        "ip": ({"image_proj.proj.weight": torch.zeros(1)}, "an IP-Adapter"),
        "unknown": ({"weight": torch.zeros(1)}, "not a kind of file"),
        "empty": ({}, "holds no tensors"),
    }
    for name, (tensors, message) in cases.items():
        torch.save(tensors, tmp_path / f"{name}.ckpt")
        with pytest.raises(InputError, match=message) as error:
            load_motion_checkpoint(whole.unet, tmp_path / f"{name}.ckpt")
        assert f"{name}.ckpt" in str(error.value)
        assert "\n" not in str(error.value)


def test_damaged_or_unsafe_files_are_refused(whole: MultiViewVideoPipeline, releases: Path, tmp_path: Path) -> None:
    content = (releases / "motion.ckpt").read_bytes()
    files = {
        "cut.ckpt": content[: len(content) // 2],
        "text.ckpt": b"hello",
        "text.safetensors": b"hello",
        "no.ckpt": b"",
        "word.ckpt": b"abc",
        "byte.bin": b"\x80",
        "start.ckpt": content[:30_000],
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=f"{name} is damaged"):
            load_motion_checkpoint(whole.unet, tmp_path / name)
    torch.save({"weight": Path("x")}, tmp_path / "code.ckpt")
    with pytest.raises(InputError, match="holds more than tensors"):
        load_motion_checkpoint(whole.unet, tmp_path / "code.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(InputError, match="holds a list"):
        load_motion_checkpoint(whole.unet, tmp_path / "list.ckpt")
    with pytest.raises(InputError, match="does not exist"):
        load_motion_checkpoint(whole.unet, tmp_path / "absent.ckpt")


def test_a_source_that_is_neither_here_nor_on_the_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(*_: object, **__: object) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no connection\nmore lines")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(InputError, match=r"neither a local folder nor reachable .*\(no connection\)"):
        resolve("someone/model", what="base model")
    with pytest.raises(InputError, match="does not exist"):
        resolve("./someone/model", what="base model")


def test_what_the_hub_sends_is_announced_with_its_size(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    import huggingface_hub

    def file(size: int, wanted: bool) -> SimpleNamespace:
        return SimpleNamespace(file_size=size, will_download=wanted)

    files = [file(3_000_000_000, True), file(5_000_000_000, False), file(400_000_000, True)]

    def download(name: str, *, allow_patterns: list[str] | None, dry_run: bool = False) -> object:
        return files if dry_run else tmp_path

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve("someone/model", what="base model") == tmp_path
    assert "base model someone/model from the model hub, 3.4 GB" in caplog.text
    caplog.clear()
    files[:] = files[1:2]
    assert resolve("someone/model", what="base model") == tmp_path
    assert not caplog.text


def test_missing_parts_are_named_before_large_files_are_read(releases: Path, config: dict, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unet of the base model"):
        convert.assemble({**config, "pretrained_model_path": str(tmp_path)}, releases / "motion.ckpt")
    with pytest.raises(InputError, match="base model alone makes no videos"):
        convert.assemble(config)
    with pytest.raises(InputError, match=rf"^{tmp_path} was not made by .*`--weights`.*`--pretrained-unet-path`"):
        convert.assemble({**config, "pretrained_model_path": str(tmp_path)})
    with pytest.raises(InputError, match=r"motion checkpoint .* does not exist"):
        convert.assemble(config, tmp_path / "absent.ckpt")
    with pytest.raises(InputError, match="neither models/ip-adapter"):
        convert.assemble({**config, "ip_adapter_path": str(tmp_path)}, releases / "motion.ckpt")
    for key in ("pretrained_model_path", "motion_adapter_path", "ip_adapter_path"):
        with pytest.raises(InputError, match=f"the key `{key}` is missing"):
            convert.assemble({name: value for name, value in config.items() if name != key}, releases / "motion.ckpt")
    with pytest.raises(InputError, match="not a folder made by"):
        convert.load_converted(tmp_path)


def test_a_cut_part_of_the_base_model_is_named(releases: Path, config: dict, tmp_path: Path) -> None:
    base = Path(shutil.copytree(releases / "base", tmp_path / "base"))
    cut = base / "text_encoder" / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-5])
    with pytest.raises(InputError, match=f"A part of the base model {base} cannot be read: {cut}: "):
        convert.assemble({**config, "pretrained_model_path": str(base)}, releases / "motion.ckpt")


def test_a_config_without_a_base_model_is_named(releases: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("steps: 3")
    command = [str(tmp_path / "out"), "--motion-checkpoint", str(releases / "motion.ckpt")]
    with pytest.raises(InputError, match=r"own.yaml: the key `pretrained_model_path` is missing"):
        convert.main([*command, "--config", str(tmp_path / "own.yaml")])


def test_the_command_writes_the_folder(
    releases: Path,
    config: dict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # outside of the checkout
    arguments = [str(tmp_path / "out"), "--motion-checkpoint", str(releases / "motion.ckpt"), "--dtype", "float16"]
    flags = {"base": "pretrained_model_path", "motion-adapter": "motion_adapter_path", "ip-adapter": "ip_adapter_path"}
    for flag, key in flags.items():
        arguments += [f"--{flag}", config[key]]
    assert convert.main(arguments) == 0
    capsys.readouterr()
    loaded = convert.load_converted(tmp_path / "out", dtype=torch.float16)
    assert not capsys.readouterr().err  # no progress bars of the libraries for a small model, and later ones come back
    assert convert.diffusers_logging.is_progress_bar_enabled()
    assert convert.transformers_logging.is_progress_bar_enabled()
    assert loaded.unet.dtype == torch.float16
