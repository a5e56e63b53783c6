"""Configs behave as recorded from threestudio 0.2.3, and better at the listed edges."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import omegaconf
import pytest
from omegaconf import DictConfig, OmegaConf

from animate3d.errors import InputError
from animate3d.studio import api
from animate3d.studio.config import ExperimentConfig, dump_config, load_config, parse_structured
from animate3d.studio.misc import find_last_path
from animate3d.studio.scalars import C, C_max

BASE = """
name: n
tag: "${rmspace:${system.prompt_processor.prompt},_}"
use_timestamp: false
data: {a: 1, b: "${data.a}", list: [1, 2, 3]}
system:
  prompt_processor:
    prompt: ???
"""
PROMPT = "system.prompt_processor.prompt="


@pytest.fixture(scope="module")
def recorded(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "host" / "config.json").read_text())


def load(*args: str, yaml: str = BASE, **kwargs: Any) -> Any:
    return load_config(yaml, cli_args=list(args), from_string=True, **kwargs)


def test_resolvers_give_the_recorded_values(recorded: dict[str, Any]) -> None:
    cases = {k: v for k, v in recorded.items() if k.startswith("${")}
    assert len(cases) == 17
    for expression, expected in cases.items():
        cfg = OmegaConf.create({"v": [0, 1.0, 2.0, 10], "x": expression})
        assert cfg.x == expected, expression


def test_scheduled_scalars_give_the_recorded_values(recorded: dict[str, Any]) -> None:
    checked = 0
    for case, expected in recorded.items():
        if case.startswith("C([") and isinstance(expected, list):
            value, steps = case[2:].split(") at ")
            result = [C(OmegaConf.create(json.loads(value)), 0, step) for step in json.loads(steps)]
            assert result == pytest.approx(expected), case
            checked += 1
    assert checked >= 5
    by_epoch = OmegaConf.create([0, 0.0, 1.0, 2.0])
    assert [C(by_epoch, e, 1000) for e in range(4)] == recorded["C epoch [0,0.,1.,2.0] epochs 0,1,2,3"]
    assert C(OmegaConf.create([0, 1.0, 100.0, 10]), 0, 5, interpolation="exp") == pytest.approx(recorded["C exp"])
    assert C(2, 0, 0) == 2 and C(True, 0, 0) is True
    assert C_max(OmegaConf.create([0, 1.0, 2.0, 10, 4.0, 20])) == recorded["C_max 6"]
    assert C_max(OmegaConf.create([0, 9.0, 2.0, 10, 4.0, 20])) == recorded["C_max 6 start larger"]
    assert C_max(OmegaConf.create([1.0, 2.0, 10])) == recorded["C_max 3"]


def test_scheduled_scalars_refuse_what_upstream_refuses() -> None:
    for value in ([0, 1.0, 2.0, 10], "x", None):
        with pytest.raises(ValueError, match="Input cfg is not an OmegaConf config object"):
            C(value, 0, 0)
    with pytest.raises(TypeError, match="only supports list"):
        C(OmegaConf.create({"a": 1}), 0, 0)
    for items in ([0, 1.0, 2.0, 10, 4.0], [0, 1.0]):
        with pytest.raises(AssertionError):
            C(OmegaConf.create(items), 0, 0)


@dataclass
class Cfg:
    a: int = 1
    b: float = 0.5
    c: str | None = None
    d: dict[str, Any] = field(default_factory=dict)
    e: tuple[float, float] = (0.0, 1.0)
    g: Any = None


def test_parse_structured_converts_and_refuses_as_recorded() -> None:
    cfg = parse_structured(Cfg, {"a": "3", "b": 3, "d": {"k": 1}})
    assert isinstance(cfg, DictConfig)
    assert (cfg.a, cfg.b, cfg["d"]["k"], cfg.get("zz", "dflt")) == (3, 3.0, 1, "dflt")
    assert not hasattr(cfg, "zz")
    cfg.d.new = 1
    with pytest.raises(omegaconf.errors.ConfigAttributeError):
        cfg.q = 1
    for bad in ({"a": "hello"}, {"a": 3.7}):
        with pytest.raises(omegaconf.errors.ValidationError, match="could not be converted to Integer"):
            parse_structured(Cfg, bad)
    with pytest.raises(TypeError):
        parse_structured(Cfg, None)  # type: ignore[arg-type]
    with pytest.raises(omegaconf.errors.MissingMandatoryValue):
        parse_structured(Cfg, OmegaConf.create({"c": "???"}))


def test_an_unknown_key_names_the_component_and_the_nearest_key() -> None:
    with pytest.raises(TypeError, match=r"'solid-color-background' has no setting 'colr' \(near: color"):
        api.find("solid-color-background")({"colr": 1})
    with pytest.raises(InputError, match="'ExperimentConfig' has no setting '--bogus'"):
        load(PROMPT + "x", "--bogus")


def test_load_config_merges_in_the_recorded_order(recorded: dict[str, Any]) -> None:
    cfg = load(PROMPT + "a red toy", "exp_root_dir=outputs")
    assert cfg.trial_dir == recorded["lc ok"]
    assert load(PROMPT + "x", "data.a=5").data.b == recorded["lc overriding source re-resolves"]
    later = load_config(BASE, "data: {a: 2}", cli_args=[PROMPT + "x"], from_string=True)
    assert later.data.a == recorded["lc two yamls later wins"]
    assert load(PROMPT + "x", "data.list=[9]").data.list == recorded["lc list replaced not merged"]
    written = ["1", "1e-3", "true", "[1,2]", "null", "1.", "x", "a=b"]
    kinds = load(PROMPT + "x", *[f"data.t.{key}={value}" for key, value in zip("abcdefgh", written, strict=True)])
    assert {k: type(v).__name__ for k, v in kinds.data.t.items()} == recorded["lc types from cli"]


def test_timestamps(recorded: dict[str, Any]) -> None:
    stamped = "tag: t\nuse_timestamp: true"
    assert len(load(yaml=stamped).trial_name) == len(recorded["lc timestamp"])
    assert load(yaml=stamped, n_gpus=2).trial_name == recorded["lc timestamp multi gpu"]
    assert load("timestamp=@1", yaml=stamped).trial_name == recorded["lc timestamp given"]
    with pytest.raises(ValueError, match="Either tag is specified or use_timestamp is True"):
        load(yaml="use_timestamp: false")


def test_loading_a_config_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load(PROMPT + "x")
    ExperimentConfig(tag="t", use_timestamp=False)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_prompt_is_an_error() -> None:
    with pytest.raises(omegaconf.errors.OmegaConfBaseException, match=r"[Mm]issing mandatory value"):
        load()


@pytest.mark.parametrize(
    "prompt",
    ["a cat: sits", "a #1", "007", "true", "null", "1e3", "[a]", "{a: b}", "'a'", '"a" b', "a=b", "${x}", "a ${b", "$5",
     "", "a, b", "- a", "*a", "&a", "%", "@x", "a\nb", "déjà 猫"],
)  # fmt: skip
def test_prompts_stay_the_text_that_was_typed(prompt: str, tmp_path: Path) -> None:
    cfg = load(PROMPT + prompt, "system.prompt_processor.prompt_front=" + (prompt if prompt != "null" else "front"),
               *([] if prompt else ["tag=t"]))  # fmt: skip
    assert cfg.system.prompt_processor.prompt == prompt
    assert cfg.tag == (prompt.replace(" ", "_") or "t")
    dump_config(tmp_path / "parsed.yaml", cfg)
    again = load_config(tmp_path / "parsed.yaml")
    assert again.system.prompt_processor.prompt == prompt
    assert again.trial_dir == cfg.trial_dir
    processor = api.find("stable-diffusion-prompt-processor")(again.system.prompt_processor)
    assert processor.cfg.prompt == prompt
    assert processor.prompts_vd[0] == f"{prompt}, side view"


@pytest.mark.parametrize("written", ["007", "1e3", "true", "2024-01-01", "null"])
def test_prompts_in_files_are_text_too(written: str) -> None:
    cfg = load(yaml=f"tag: t\nuse_timestamp: false\nsystem: {{prompt_processor: {{prompt: {written}}}, lr: 1e-3}}")
    assert cfg.system.prompt_processor.prompt == written
    assert cfg.system.lr == 0.001


def test_paths_and_tags_stay_text_but_may_interpolate() -> None:
    cfg = load(PROMPT + "x", "tag=007", "data.image_root=/a: b #1", "resume=o/epoch=0-step=800.ckpt",
               "system.half_precision_weights=true", "system.geometry_convert_from=${data.image_root}",
               "system.weights=null")  # fmt: skip
    assert (cfg.tag, cfg.data.image_root, cfg.resume) == ("007", "/a: b #1", "o/epoch=0-step=800.ckpt")
    assert cfg.system.half_precision_weights is True
    assert cfg.system.geometry_convert_from == "/a: b #1"
    assert cfg.system.weights is None


def test_unreadable_configs_are_one_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    for content, message in (
        (b"a: [1", "not valid YAML"),
        (b"- 1\n", "must hold"),
        (b"\xff\xfe\x00", "not a text file"),
    ):
        bad.write_bytes(content)
        with pytest.raises(InputError, match=message):
            load_config(bad)
    with pytest.raises(InputError, match="does not exist"):
        load_config(tmp_path / "nope.yaml")
    with pytest.raises(InputError, match="not valid YAML"):
        load(PROMPT + "x", "data.a=[1")


def test_last_stands_for_the_newest_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("t@20200101-1", "t@20210101-1", "u@2022"):
        (tmp_path / "outs" / name).mkdir(parents=True)
    assert find_last_path("outs/tLAST/ckpts/last.ckpt") == "outs/t@20210101-1/ckpts/last.ckpt"
    assert find_last_path("outs/t/x.ckpt") == "outs/t/x.ckpt"
    assert find_last_path(None) is None
    with pytest.raises(IndexError, match="there is none"):
        find_last_path("outs/zLAST/x.ckpt")
