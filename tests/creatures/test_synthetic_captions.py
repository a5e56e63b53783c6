"""Captions name the motion in a small closed vocabulary."""

from __future__ import annotations

from animate3d.creatures import FAMILIES, FAMILY_MOTIONS, captions, vocabulary
from animate3d.creatures.captions import draw_caption
from animate3d.creatures.looks import COLORS, PATTERNS


def test_the_vocabulary_is_small():
    assert len(vocabulary()) <= 160
    assert vocabulary() == sorted(set(vocabulary()))


def test_all_captions_use_only_the_vocabulary():
    words = set(vocabulary())
    for family, motions in FAMILY_MOTIONS.items():
        for motion in motions:
            for color in ("", *COLORS):
                for sentence in captions(family, motion, color, "striped"):
                    assert set(sentence.split()) <= words, sentence


def test_every_motion_has_several_phrasings_of_its_own():
    for family, motions in FAMILY_MOTIONS.items():
        sentences = [captions(family, motion) for motion in motions]
        assert min(len(set(some)) for some in sentences) >= 4
        assert len(set().union(*sentences)) == sum(len(set(some)) for some in sentences), family


def test_captions_are_sentences_with_the_right_article():
    assert "a butterfly is flapping its wings" in captions("butterfly", "flap")
    assert "the butterfly flaps its wings" in captions("butterfly", "flap")
    assert "an orange butterfly flutters" in captions("butterfly", "flap", "orange")
    assert "a striped orange butterfly flutters" in captions("butterfly", "flap", "orange", "striped")


def test_drawn_captions_follow_from_the_seed_and_do_not_call_a_pattern_plain():
    drawn = [draw_caption(seed, "dog", "walk", "red", "plain") for seed in range(200)]
    assert drawn == [draw_caption(seed, "dog", "walk", "red", "plain") for seed in range(200)]
    assert len(set(drawn)) > 8
    assert not any("plain" in sentence for sentence in drawn)
    assert 0.2 < sum("red" in sentence for sentence in drawn) / 200 < 0.6
    assert set(PATTERNS) > {"striped", "spotted"} and set(FAMILIES) == set(FAMILY_MOTIONS)
