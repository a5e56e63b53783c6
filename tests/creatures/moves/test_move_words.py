"""Captions of moves keep to a small vocabulary, say what is done, and every move has free wordings."""

from __future__ import annotations

import numpy as np
import pytest

from animate3d.creatures import FAMILIES, FAMILY_MOTIONS
from animate3d.creatures.moves import (
    ADVERBS,
    FAMILY_MOVES,
    MOVES,
    Manner,
    adverbs,
    allowed_adverbs,
    canonical,
    caption,
    draw_manner,
    manner_of,
    paraphrases,
    vocabulary,
)
from animate3d.creatures.moves.wordings import conjugated
from animate3d.errors import InputError


def test_captions_keep_to_the_vocabulary():
    words, generator = set(vocabulary()), np.random.default_rng(0)
    assert len(words) <= 160
    for move in MOVES.values():
        assert 1 <= len(move.phrases) <= 3
        for _ in range(40):
            other = MOVES["flap"]
            pair = [(move, draw_manner(move, generator)), (other, draw_manner(other, generator))]
            sentence = caption(pair[: 1 + int(generator.integers(2))], "dog", generator)
            assert set(sentence.split()) <= words | {"dog"}, sentence
            assert len(sentence.split()) <= 18


def test_no_two_moves_share_a_phrase():
    phrases = [phrase for move in MOVES.values() for phrase in move.phrases]
    assert len(phrases) == len(set(phrases))


def test_a_caption_says_how():
    hop, generator = MOVES["hop"], np.random.default_rng(0)
    assert canonical([(hop, Manner(1.6))]) == "hopping high"
    assert canonical([(MOVES["slide"], Manner(0.5, 0.5, "left"))]) == "sliding left gently slowly"
    assert canonical([(hop, Manner()), (MOVES["flap"], Manner())]) == "hopping while flapping its wings"
    said = {caption([(MOVES["jump"], Manner(speed=2.0))], "owl", generator).split()[-1] for _ in range(40)}
    assert said == {"quickly", "twice"}


@pytest.mark.parametrize("name", MOVES)
def test_adverbs_come_back_as_the_manner_they_name(name):
    move, generator = MOVES[name], np.random.default_rng(1)
    for word in allowed_adverbs(move):
        assert word in ADVERBS
        assert adverbs(move, manner_of(move, [word])) == ["quickly" if word == "twice" else word]
    for _ in range(20):
        said = adverbs(move, draw_manner(move, generator))
        assert set(said) <= set(allowed_adverbs(move))
        assert adverbs(move, manner_of(move, said)) == said


def test_an_unknown_adverb_is_told():
    with pytest.raises(InputError, match="'sideways' is unknown"):
        manner_of(MOVES["hop"], ["sideways"])


def test_every_move_has_free_wordings():
    for name in MOVES:
        wordings = paraphrases(name)
        assert len(set(wordings)) >= 30
    plain = [base for name in MOVES for base in set(paraphrases(name)[2::3])]
    assert len(plain) == len(set(plain)), "a wording names two moves"


def test_verbs_are_conjugated():
    assert conjugated("flap its wings") == ("flaps its wings", "flapping its wings", "flap its wings")
    assert conjugated("lie down") == ("lies down", "lying down", "lie down")
    assert conjugated("be pushed") == ("is pushed", "being pushed", "be pushed")
    assert conjugated("dive")[:2] == ("dives", "diving")
    assert conjugated("stretch")[:2] == ("stretches", "stretching")
    assert conjugated("party")[:2] == ("parties", "partying")


def test_the_families_motions_have_the_same_names():
    assert {family: tuple(motions) for family, motions in FAMILY_MOVES.items()} == FAMILY_MOTIONS
    for family, motions in FAMILY_MOVES.items():
        for motion, (name, manner) in motions.items():
            assert manner.direction in ("", *MOVES[name].directions)
            assert MOVES[name].cyclic == FAMILIES[family].motions[motion].cyclic
