"""Read a prompt in free wording: which moves it asks for, and how they are to be done.

The words of the moves are the encoder's part, whoever moves; adverbs, numbers, directions, denials and two moves at
once are grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from animate3d.bundled_model.degrees import amplitude_of, degrees_of, without_degrees
from animate3d.bundled_model.manners import PHRASES, Wish, sayings
from animate3d.bundled_model.sentences import LENGTH, SentenceEncoder, words_of
from animate3d.bundled_model.sides import side_of
from animate3d.bundled_model.support import supported
from animate3d.creatures.moves import MOVES, Manner, combine

READER_FOLDER = Path(__file__).resolve().parent / "reader"
"""Not with the weights of the video model, which a training replaces as a whole."""
NONE, STILL = "none", "still"
"""What a sentence speaks of when it is no motion at all, and when nothing is to move."""
_KNOWN = 0.5
"""Chance of the moves together from which a prompt counts as one about a motion."""
_SURE = 0.3
"""Chance of its move from which a prompt counts as understood."""
_CLEAR = 0.75
"""Chance of a move of parts below which the sentence has to say a word of it."""
_PART = 0.75
"""Chance of a move in its own part of a sentence from which it is read there."""
_NAME = re.compile(r"(?:a|an|the|his|her|its) \w+")
"""A part of a sentence that only names a thing, as in "with a wave", is none of its motions."""
_CONNECTIVES = re.compile(
    r"[,;.&+]|\b(?:while|whilst|and|then|before|after|but|plus|with|as (?=it|he|she|they|the|a|an|his|her))\b"
    r"|(?=\bwithout\b)"
)
_DENIALS = frozenset(("not", "never", "nothing", "nobody", "without", "no"))
_ENDLESS = re.compile(r"\b(?:never|not|n't|without) (?:ever )?(?:stop|ceas)(?:s|es|e|ping|ing|ped|ed)?\b")
"""What goes on is said by denying its end."""
_SAYS_NO = re.compile(r"\bsay(?:s|ing)? no\b")
"""It is a gesture, and denies nothing."""
_INSTEAD = {
    ("lean", "left"): "tilt",
    ("lean", "right"): "tilt",
    ("tilt", "forward"): "lean",
    ("tilt", "backward"): "lean",
    ("bend", "backward"): "lean",
}
"""Moves that go another way than the one that was named can."""
_DOWN = ("bend", "lean", "tip")
"""Moves of which "down" means forward where nothing else is said."""

_COUNTED_BEATS = 2
"""Beats of a move that can still be counted: nobody says how often something shivers."""


@dataclass(frozen=True)
class Reading:
    """What a prompt asks for.

    Attributes:
        moves: names in `MOVES` with how they are done; at most two, none when nothing is to move.
        confidence: 0..1, chance that the first of them is meant.
        nearest: names of the moves nearest to the prompt, the nearest first.
        known: the prompt is understood; otherwise nothing else of this than ``nearest`` is to be relied on.
        left_out: names of moves that it asks for too, which cannot be done at the same time.
    """

    moves: tuple[tuple[str, Manner], ...]
    confidence: float
    nearest: tuple[str, ...]
    known: bool
    left_out: tuple[str, ...] = ()


def read(prompt: str) -> Reading:
    """Read a prompt with the bundled reader.

    Raises:
        InputError: this copy of the package came without it.
    """
    return bundled_reader().read(prompt)


@lru_cache(maxsize=1)
def bundled_reader() -> Reader:
    """The reader that ships with the package."""
    return Reader(SentenceEncoder.load(READER_FOLDER))


@dataclass(frozen=True)
class Part:
    """A part of a sentence, between its connectives, and whether it says what does not happen."""

    text: str
    denied: bool


class Reader:
    """Reads prompts with a trained encoder, whose classes are names of moves, `NONE` and `STILL`."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._moves = [place for place, name in enumerate(encoder.classes) if name in MOVES]
        self._motion_words: dict[str, bool] = {}

    @property
    def words(self) -> list[str]:
        """Those that it has an entry for."""
        return self._encoder.vocabulary

    def read(self, prompt: str) -> Reading:
        """Which moves a prompt asks for, and how they are to be done."""
        prompt = _ENDLESS.sub("keeps", _SAYS_NO.sub("shaking its head", prompt.lower().replace("’", "'")))
        parts = list(_parts(prompt))
        said = [part for part in parts if not part.denied]
        if not said and parts:
            return Reading((), 1.0, (), True)
        whole = " ".join(part.text for part in said) if len(said) < len(parts) else prompt
        chances = self._chances([whole, *(part.text for part in said)])
        whole_chances, part_chances = chances[0], chances[1:]
        nearest = self._nearest(whole_chances)
        places = self._moves_of_parts(said, part_chances)
        if len(places) > 1:
            pair = next(((one, two) for one, two in combinations(places, 2) if combine(MOVES[one], MOVES[two])), None)
            chosen = pair or (max(places, key=lambda name: self._chance(whole_chances, name)),)
            moves = tuple(
                self._asked(name, said[places[name]].text, _up_to_next(said, places, name))
                if pair
                else self._asked(name, whole, whole)
                for name in chosen
            )
            confidence = self._chance(part_chances[places[chosen[0]]], chosen[0])
            left_out = tuple(name for name in places if name not in chosen)
            return Reading(moves, confidence, nearest, True, left_out)
        if int(whole_chances.argmax()) == self._encoder.classes.index(STILL):
            return Reading((), float(whole_chances.max()), nearest, True)
        name = nearest[0]
        confidence = self._chance(whole_chances, name)
        known = bool(words_of(prompt)) and float(whole_chances[self._moves].sum()) >= _KNOWN and confidence >= _SURE
        known = known and (confidence >= _CLEAR or not MOVES[name].needs or supported(name, whole))
        return Reading((self._asked(name, whole, whole),) if known else (), confidence, nearest, known)

    @torch.inference_mode()
    def _chances(self, sentences: list[str]) -> Tensor:
        """Chances of the classes ``[N, classes]``."""
        return self._encoder(self._encoder.tokens([without_degrees(text) for text in sentences]))[1].softmax(dim=1)

    def _chance(self, chances: Tensor, name: str) -> float:
        return float(chances[self._encoder.classes.index(name)])

    def _nearest(self, chances: Tensor, count: int = 3) -> tuple[str, ...]:
        best = chances[self._moves].topk(count).indices.tolist()
        return tuple(self._encoder.classes[self._moves[place]] for place in best)

    def _moves_of_parts(self, parts: list[Part], chances: Tensor) -> dict[str, int]:
        """The different moves that parts of a sentence name, in their order, and which parts do."""
        found: dict[str, int] = {}
        for place, part in enumerate(parts):
            (name,) = self._nearest(chances[place], 1)
            if self._chance(chances[place], name) >= _PART and not _NAME.fullmatch(part.text):
                found.setdefault(name, place)
        return found

    def _asked(self, name: str, text: str, limbs: str) -> tuple[str, Manner]:
        """A move, or one alike, as a text asks for it, and another one says with which limb."""
        name, manner = asked("turn" if name == "spin" and degrees_of(text) else name, self._wish(text))
        manner = replace(manner, amplitude=amplitude_of(name, text) or manner.amplitude)
        return name, replace(manner, side=side_of(limbs, MOVES[name]))

    def _wish(self, text: str) -> Wish:
        """All that a part of a sentence asks for."""
        words = words_of(without_degrees(text))[:LENGTH]
        wish = Wish()
        for saying in sayings(words, self._is_motion):
            wish |= saying.wish
        return wish

    def _is_motion(self, word: str) -> bool:
        if word not in self._motion_words:
            self._motion_words[word] = float(self._chances([word])[0, self._moves].sum()) >= _KNOWN
        return self._motion_words[word]


def reading_notices(prompt: str, reading: Reading) -> list[str]:
    """Sentences for the user about what a prompt was not taken at its word for; empty when it was."""
    if not reading.known:
        nearest = ", ".join(f"“{MOVES[name].phrases[0]}”" for name in reading.nearest)
        return [
            f"The bundled model does not know what is to happen in “{prompt}”, so the motion is a guess; the nearest "
            f"that it can do: {nearest}."
        ]
    if not reading.moves:
        return [f"“{prompt}” asks for no motion, so nothing is meant to move."]
    if reading.left_out:
        done = " while ".join(MOVES[name].phrases[0] for name, _ in reading.moves)
        other = " and ".join(MOVES[name].phrases[0] for name in reading.left_out)
        return [f"The bundled model cannot show all of “{prompt}” at once: it shows {done}, not {other}."]
    if any(manner.side for _, manner in reading.moves):
        return [f"The bundled model tells no left limb from a right one, so in “{prompt}” the side is left out."]
    return []


def asked(name: str, wish: Wish) -> tuple[str, Manner]:
    """A move and how it is done by what was asked for, as far as it can; the one that can where another is alike."""
    name = next((_INSTEAD[name, way] for way in wish.directions if (name, way) in _INSTEAD), name)
    name = "spin" if name == "turn" and wish.count else name  # a turn to the side is no whole one
    move = MOVES[name]
    speed = 1.0 if wish.speed is None else wish.speed
    count = wish.count or 0
    if move.beats > _COUNTED_BEATS or (count == 1 and not move.cyclic and not move.turns):
        count = 0
    direction = next((way for way in wish.directions if way in move.directions), "")
    if not direction and name in _DOWN and "down" in wish.directions:
        direction = "forward"
    amplitude = 1.0 if wish.amplitude is None else wish.amplitude
    return name, Manner(amplitude, min(speed, move.fastest), direction, count=count)


def _parts(prompt: str) -> Iterator[Part]:
    """The parts of a sentence that have words."""
    for text in _CONNECTIVES.split(prompt):
        words = words_of(text)
        if words:
            yield Part(text.strip(), _is_denied(words))


def _up_to_next(parts: list[Part], places: dict[str, int], name: str) -> str:
    """The words of a move's part, and of those after it that name no other move: "kicks | with its left leg"."""
    ends = [place for place in places.values() if place > places[name]]
    return " with ".join(part.text for part in parts[places[name] : min(ends, default=len(parts))])


def _is_denied(words: list[str]) -> bool:
    """Whether it says what does not happen; "not too fast" does not."""
    for place, word in enumerate(words):
        if word in _DENIALS:
            after = words[place + 1 :]
            adverb = [w for w in after if w not in ("very", "too", "so", "really", "that")][:1]
            if word != "not" or tuple(adverb) not in PHRASES:
                return True
    return False
