"""View-dependent prompts and their cache, as recorded from threestudio 0.2.3."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import torch

from animate3d.errors import InputError
from animate3d.studio import api
from animate3d.studio.prompts import PromptProcessor


class Recorder(PromptProcessor):
    """Encodes every text as its length, and remembers the texts."""

    encoded: list[str]

    def encode(self, prompts: list[str]) -> torch.Tensor:
        self.encoded = prompts
        return torch.tensor([float(len(p)) for p in prompts]).view(-1, 1, 1).expand(-1, 77, 8)


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return Recorder(SETTINGS)


SETTINGS = {
    "prompt": "a cat",
    "pretrained_model_name_or_path": "m",
    "front_threshold": 30.0,
    "back_threshold": 30.0,
}


def test_cache_files_have_the_recorded_names(processor: Any, golden: Path) -> None:
    recorded = (golden / "host" / "prompts_and_cameras.txt").read_text()
    expected = ast.literal_eval(next(line for line in recorded.splitlines() if line.startswith("cache: "))[7:])
    processor()
    assert sorted(p.name for p in PromptProcessor.cache_dir.iterdir()) == expected
    again = Recorder(SETTINGS)
    again()
    assert not hasattr(again, "encoded")
    forced = Recorder({**SETTINGS, "use_cache": False})
    forced()
    assert "a cat" in forced.encoded


@pytest.mark.parametrize("content", [b"", b"abc", b"\x80", [1, 2]])
def test_a_damaged_cache_file_is_made_again(processor: Any, capsys: pytest.CaptureFixture[str], content: Any) -> None:
    before = processor().text_embeddings
    path = processor._cached("a cat")
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    again = Recorder(SETTINGS)
    assert torch.equal(again().text_embeddings, before)
    assert again.encoded == ["a cat"]
    assert torch.equal(torch.load(path, weights_only=True), before[0])


def test_directions_of_the_recorded_azimuths(processor: Any, golden: Path) -> None:
    recorded = (golden / "host" / "prompts_and_cameras.txt").read_text()
    expected = ast.literal_eval(next(line for line in recorded.splitlines() if line.startswith("[(")))
    azimuth = torch.tensor([a for a, _ in expected])
    elevation = torch.tensor([80.0 if d == "overhead" else 0.0 for _, d in expected])
    output = processor()
    indices = output.get_direction_indices(elevation, azimuth, torch.ones_like(azimuth))
    assert [output.directions[i].name for i in indices] == [d for _, d in expected]


def test_conditional_embeddings_come_first(processor: Any) -> None:
    output = processor()
    azimuth, zeros = torch.tensor([0.0, 90.0]), torch.zeros(2)
    embeddings = output.get_text_embeddings(zeros, azimuth, zeros)
    assert embeddings.shape == (4, 77, 8)
    assert embeddings[:, 0, 0].tolist() == [len("a cat, front view"), len("a cat, side view"), 0.0, 0.0]
    plain = output.get_text_embeddings(zeros, azimuth, zeros, view_dependent_prompting=False)
    assert plain[:, 0, 0].tolist() == [5.0, 5.0, 0.0, 0.0]


@pytest.mark.parametrize("key", ["use_perp_neg", "use_prompt_debiasing"])
def test_what_the_host_does_not_have_is_refused(key: str) -> None:
    with pytest.raises(InputError, match=f"{key} is not part of the embedded host"):
        Recorder({**SETTINGS, key: True})


def test_wording(tmp_path: Path) -> None:
    settings = {"prompt": "a {cat}", "view_dependent_prompt_front": True, "prompt_back": "tail"}
    assert Recorder(settings).prompts_vd == [
        "side view of a {cat}",
        "front view of a {cat}",
        "tail",
        "overhead view of a {cat}",
    ]


def test_nothing_is_loaded_before_embeddings_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    missing = str(tmp_path / "no-such-model")
    processor = api.find("stable-diffusion-prompt-processor")({"pretrained_model_name_or_path": missing})
    with pytest.raises(InputError, match=r"text encoder of .*no-such-model"):
        processor()
    assert not (tmp_path / ".threestudio_cache").exists()


def test_clip_embeddings_of_the_tiny_model(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import CLIPTextModel, CLIPTokenizer

    monkeypatch.chdir(tmp_path)
    folder = golden / "tiny_components"
    cls = api.find("stable-diffusion-prompt-processor")
    output = cls({"prompt": "a cat " * 60, "pretrained_model_name_or_path": str(folder)})()
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    tokens = tokenizer(
        "a cat " * 60, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        expected = CLIPTextModel.from_pretrained(folder / "text_encoder")(tokens.input_ids)[0]
    torch.testing.assert_close(output.text_embeddings.cpu(), expected)
