"""The encoder of sentences."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from animate3d.bundled_model.sentences import LENGTH, SentenceEncoder, words_of
from animate3d.errors import InputError


def small_encoder() -> SentenceEncoder:
    torch.manual_seed(0)
    return SentenceEncoder(["the", "dog", "hops"], ["hop", "none"], width=32, layers=1).eval()


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("The dog doesn’t HOP!", "the dog does not hop"),
        ("a puppy's tail", "a puppy tail"),
        ("café, 3 times", "cafe 3 times"),
        ("犬", ""),
    ],
)
def test_words_are_plain(sentence: str, words: str) -> None:
    assert words_of(sentence) == words.split()


def test_company_does_not_change_a_sentence() -> None:
    encoder = small_encoder()
    with torch.inference_mode():
        alone, logits = encoder(encoder.tokens(["the dog"]))
        together, more = encoder(encoder.tokens(["the dog hops over the lazy fox", "the dog"]))
    torch.testing.assert_close(alone[0], together[1])
    torch.testing.assert_close(logits[0], more[1])


def test_an_unknown_word_is_read_by_its_spelling() -> None:
    encoder = small_encoder()
    with torch.inference_mode():
        words = encoder(encoder.tokens(["somersault", "somersaults", "quizzical"]))[0]
    assert words[0] @ words[1] > words[0] @ words[2]


@pytest.mark.parametrize("sentence", ["", "...", "hop " * (2 * LENGTH)])
def test_any_text_has_an_embedding(sentence: str) -> None:
    encoder = small_encoder()
    embedding, _ = encoder(encoder.tokens([sentence]))
    assert embedding.norm().item() == pytest.approx(1, abs=1e-5)


def test_a_saved_encoder_reads_the_same(tmp_path: Path) -> None:
    encoder = small_encoder()
    encoder.save(tmp_path)
    loaded = SentenceEncoder.load(tmp_path)
    assert loaded.classes == encoder.classes
    with torch.inference_mode():
        one, other = (model(model.tokens(["the dog hops away"]))[1] for model in (encoder, loaded))
    torch.testing.assert_close(one, other, atol=1e-2, rtol=1e-2)


def test_loading_changes_nobody_s_random_numbers(tmp_path: Path) -> None:
    small_encoder().save(tmp_path)
    state = torch.get_rng_state()
    SentenceEncoder.load(tmp_path)
    assert torch.equal(state, torch.get_rng_state())


def test_a_missing_reader_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reader"):
        SentenceEncoder.load(tmp_path)
