"""The training of the reader of prompts, with a small language and a teacher that is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from animate3d.bundled_model.reading import NONE, STILL
from animate3d.bundled_model.sentences import SentenceEncoder, words_of
from animate3d.creatures.moves import MOVES
from animate3d.errors import InputError
from animate3d.files import read_json
from animate3d.small_model import reading
from animate3d.small_model.sentences import Lexicon, acting, participle
from animate3d.small_model.wordings import WORDINGS

LEXICON = Lexicon(["dog", "vase", "robot"], ["tax", "letter", "blue"])
PHRASES = {"hop": ["hop", "hop up and down"], "wag": ["wag its tail"], NONE: []}


@pytest.mark.parametrize(
    ("verb", "form"),
    [("hop", "hopped"), ("squash", "squashed"), ("bend", "bent"), ("carry", "carried")],
)
def test_what_is_done_has_a_form(verb: str, form: str) -> None:
    assert participle(verb) == form


def test_sentences_name_their_motion() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        assert any(word.startswith("wag") for word in words_of(acting(generator, LEXICON, "wag its tail")))


def test_every_move_has_phrases_and_so_has_standing_still() -> None:
    phrases = reading.move_phrases()
    assert list(phrases) == [*MOVES, STILL, NONE]
    assert all(phrases[name] for name in phrases if name != NONE)


def test_the_encoder_learns_motions_and_agrees_with_its_teacher() -> None:
    torch.manual_seed(0)
    generator = np.random.default_rng(1)
    sentences = [sentence for sentence, _ in reading.labelled(generator, LEXICON, PHRASES, 60)]
    directions = torch.nn.functional.normalize(torch.randn(3, 384), dim=1)  # one for every motion
    labels = torch.tensor([2 if "tax" in s else 1 if "wag" in s else 0 for s in sentences])
    given = reading.Corpus(sentences, directions[labels], torch.nn.functional.one_hot(labels, 3).float())
    encoder = SentenceEncoder(["dog", "vase", "robot", "hop", "hops", "wag", "wags"], list(PHRASES), width=32, layers=1)
    reading.train_encoder(encoder, given, LEXICON, PHRASES, steps=60, batch=32)
    unseen = reading.labelled(np.random.default_rng(2), LEXICON, PHRASES, 60)
    with torch.inference_mode():
        embeddings, _ = encoder(encoder.tokens(sentences))
        _, logits = encoder(encoder.tokens([sentence for sentence, _ in unseen]))
    named = [encoder.classes[place] for place in logits.argmax(dim=1).tolist()]
    assert np.mean([name == label for name, (_, label) in zip(named, unseen, strict=True)]) > 0.8
    assert (embeddings * given.embeddings).sum(dim=1).mean() > 0.7


def test_a_linear_layer_tells_embeddings_apart() -> None:
    torch.manual_seed(0)
    centers = torch.nn.functional.normalize(torch.randn(3, 384), dim=1)
    labels = torch.arange(90) % 3
    head = reading.train_head(centers[labels] + 0.02 * torch.randn(90, 384), labels, 3, steps=50)
    assert torch.equal(head(centers).argmax(dim=1), torch.arange(3))


def test_a_missing_teacher_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "available", lambda package: False)
    with pytest.raises(InputError, match="needs the package wordfreq"):
        reading.main([])


def test_the_wordings_are_of_moves_and_none_is_asked_twice() -> None:
    wordings = read_json(WORDINGS)
    asked = [row["prompt"] for rows in wordings.values() for row in rows]
    assert len(asked) == len(set(asked))
    named = {row["move"] for kind in ("motions", "manners") for row in wordings[kind]}
    assert named <= set(MOVES)
    assert sum(row["part"] == "test" for row in wordings["motions"]) >= 140
