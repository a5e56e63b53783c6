"""A compiled UNet gives the numbers of its modules, and one that cannot be compiled runs all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from animate3d.mvvdm.model import compiled
from animate3d.mvvdm.model.compiled import CACHE_VARIABLE, Compiler, cache_folder
from animate3d.mvvdm.model.quantized import quantize
from animate3d.mvvdm.model.unet import MultiViewUNet
from animate3d.mvvdm.tiny import UNET

VIEWS = 2
SMALL = {
    **UNET,
    "block_out_channels": (16,),
    "down_block_types": ("CrossAttnDownBlockMotion",),
    "up_block_types": ("CrossAttnUpBlockMotion",),
    "motion_max_seq_length": 4,
    "num_views": VIEWS,
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)  # and put back afterwards


def small_unet() -> MultiViewUNet:
    unet = MultiViewUNet(**SMALL).eval().requires_grad_(False)
    for parameter in unet.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    return unet


def call(prompts: int = 1) -> dict[str, object]:
    return {
        "sample": torch.randn(VIEWS, 4, 2, 4, 4),
        "timestep": 300,
        "encoder_hidden_states": torch.randn(prompts * VIEWS, 3, 32),
        "camera": torch.randn(VIEWS, 16),
        "added_cond_kwargs": {"image_embeds": torch.randn(prompts * VIEWS, 24)},
        "num_views": VIEWS,
        "return_dict": False,
    }


@torch.no_grad()
def by_modules(unet: MultiViewUNet, arguments: dict[str, object]) -> Tensor:
    unet.streamlined = False
    expected = unet(**arguments)[0]
    unet.streamlined = None
    return expected


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(("backend", "bits"), [("eager", 32), ("inductor", 32), ("eager", 8)])
def test_the_numbers_are_those_of_the_modules(backend: str, bits: int, caplog: pytest.LogCaptureFixture) -> None:
    unet = small_unet()
    if bits == 8:
        quantize(unet)
    arguments = call(prompts=2 if backend == "inductor" else 1)
    expected = by_modules(unet, arguments)
    unet.compiler = Compiler(backend)
    for _ in range(2):
        assert_same(unet(**arguments)[0], expected)
    said = [record.getMessage() for record in caplog.records if record.name == compiled.__name__]
    assert len(said) == 2 and "this takes minutes" in said[0]  # and nothing is said of the second call
    assert "is compiled, in " in said[1] and str(cache_folder()) in said[1]
    assert backend != "inductor" or any(cache_folder().iterdir())


@torch.no_grad()
def test_what_cannot_be_compiled_runs_as_it_is(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    unet = small_unet()
    arguments = call()
    expected = by_modules(unet, arguments)
    tried = []

    def no_compiler(function: object, backend: str) -> object:
        def fail(*arguments: object) -> Tensor:
            tried.append(function)
            raise RuntimeError("No C++ compiler found.\nSet CXX.")

        return fail

    monkeypatch.setattr(compiled, "_compiled", no_compiler)
    unet.compiler = Compiler()
    assert_same(unet(**arguments)[0], expected)
    assert len(tried) == 1
    assert caplog.records[-1].getMessage() == (
        "The video model cannot be compiled here (No C++ compiler found); it runs as it is."
    )


def test_the_cache_is_where_the_user_says_or_in_the_user_s_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == tmp_path / "animate3d" / "compiled"
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
