"""Sentences from which the reader of prompts learns: things that move in every wording, and everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from animate3d.creatures.moves.wordings import conjugated

STILL_PHRASES = (
    "stand still", "stay still", "keep still", "sit still", "hold still", "lie still", "remain motionless",
    "stay in place", "stay put", "rest", "freeze", "stand motionless", "do nothing", "stop moving", "pause",
    "remain at rest", "sit motionless", "remain stationary", "stand without motion", "keep its place",
    "stay where it is", "remain where it is",
)  # fmt: skip
OTHER_VERBS = (
    "think", "know", "believe", "own", "cost", "read", "write", "speak", "talk", "sing", "eat", "drink", "sleep",
    "dream", "work", "study", "learn", "buy", "sell", "pay", "cook", "bake", "clean", "wash", "paint", "draw",
    "listen", "hear", "smell", "taste", "like", "love", "hate", "need", "want", "seem", "mean", "contain",
    "describe", "explain", "report", "consider", "decide", "remember", "forget", "hope", "worry", "wait", "live",
    "exist", "belong", "differ", "matter", "cause", "create", "design", "build", "repair", "calculate", "measure",
    "shine", "glow", "burn", "melt", "freeze over", "cry", "laugh", "smile", "complain", "negotiate", "vote",
    "govern", "teach", "translate", "publish", "print", "install", "download", "type", "program", "compute",
    "invest", "borrow", "lend", "tax", "insure", "marry", "celebrate", "wear", "knit", "sew", "photograph", "film",
    "look old", "look nice", "cost money", "look hungry", "go bankrupt", "make money", "tell a story", "play chess",
)  # fmt: skip
KINDS = (
    "animal", "bird", "fish", "insect", "pet", "monster", "toy", "doll", "robot", "vehicle", "car", "boat", "aircraft",
    "furniture", "chair", "lamp", "plant", "flower", "tree", "vegetable", "fruit", "food", "cake", "bottle", "cup",
    "vase", "tool", "machine", "musical instrument", "building", "person", "worker", "child", "clothes", "shoe", "hat",
    "statue", "rock", "box", "household object", "kitchen utensil", "weapon", "dinosaur", "creature", "planet",
)  # fmt: skip
MOTION_WORDS = (
    "motion", "moving", "turning", "jumping", "walking", "running", "shaking", "growing", "falling", "flying",
    "bending", "swinging", "opening", "dancing", "swimming", "slowly", "quickly", "gently", "violently", "sideways",
    "upwards", "forward", "left", "clockwise", "twice", "head", "tail", "wings", "legs", "arms", "petals", "wheels",
    "jelly", "wobbly", "vibration", "oscillation", "leap", "gesture", "stroll", "crawl", "stretch", "shrink",
)  # fmt: skip
MANNERS = (
    "gently", "softly", "slowly", "quickly", "strongly", "with great force", "a little", "slightly", "twice",
    "three times", "high", "wildly", "carefully", "happily", "sadly", "lazily", "fast", "very fast", "very slowly",
    "again and again", "once", "smoothly", "nervously", "calmly", "vigorously", "a lot", "suddenly", "proudly",
    "all the time", "in slow motion", "playfully", "like crazy", "a bit", "hard", "angrily", "powerfully",
    "for a while", "rhythmically", "clumsily", "elegantly", "steadily", "back and forth", "with joy", "several times",
    "hesitantly",
)  # fmt: skip
SIDES = ("to the left", "to the right", "left", "right", "forward", "forwards", "backward", "sideways", "to one side")
PLACES = (
    "in the garden", "on the table", "in the kitchen", "on the grass", "in the forest", "at home", "in the room",
    "on the floor", "in the sun", "in the rain", "on the beach", "on a hill", "at night", "in the snow", "on stage",
    "outside", "in the street", "near the river", "in front of us", "on its own", "in the wind", "in the morning",
)  # fmt: skip
LOOKS = (
    "red", "blue", "green", "old", "young", "little", "big", "huge", "tiny", "cute", "wooden", "golden", "striped",
    "shiny", "happy", "sad", "angry", "funny", "beautiful", "strange", "fat", "thin", "low-poly", "cartoon", "heavy",
)  # fmt: skip
ACTING = (
    "the {n} {s}", "the {n} is {g}", "a {n} {s}", "a {n} is {g}", "a {n} {g}", "{n} {g}", "{n} {s}", "the {n} {g}",
    "make the {n} {b}", "let the {n} {b}", "a {n} that {s}", "a {n} which is {g}", "the {n} starts to {b}",
    "the {n} begins {g}", "animate the {n} so that it {s}", "i want the {n} to {b}", "the {n} should {b}",
    "an animation of a {n} {g}", "a video of a {n} that {s}", "my {n} {s}", "the {n} is still {g}",
    "please make this {n} {b}", "the {n} keeps {g}", "it {s}", "it is {g}", "{g}", "{b}", "the {n} will {b}",
    "there is a {n} {g}", "this {n} {s}", "{g} {n}", "the {n} seems to be {g}", "{n} {b}", "show the {n} {g}",
)  # fmt: skip
DONE = (
    "{b} the {n}", "someone {s} the {n}", "the {n} is {p}", "the {n} gets {p}", "the {n} being {p}",
    "a {n} that is {p}", "the {n} {p}", "{g} the {n}", "the {n} was {p}", "have the {n} {p}",
    "a {b} of the {n}", "one {b}", "the {n} does a {b}", "a {n} doing a little {b}", "a big {b} of a {n}",
    "{n} with a {b}",
)  # fmt: skip
"""Sentences of one verb in which something is moved by somebody, or was moved, or the verb is a noun."""
OWNED = (
    "{o} {g}", "the {n}'s {o} {s}", "the {n}'s {o} is {g}", "a {n} with {g} {o}", "the {n}, {o} {g}", "{g} {o}",
    "the {o} of the {n} {s}", "its {o} {s}", "{n} {o} {g}", "the {o} {s}",
)  # fmt: skip
"""Sentences in which a part of something moves."""
OWNERS = ("its", "his", "her", "their", "the", "your", "")
NAMING = (
    "a {n}", "the {n}", "{n}", "{w}", "{w} {v}", "the {w} of {v}", "a {n} and a {m}", "a {n} on a {m}",
    "the {n} is {w}", "a {l} {n}", "the {n} is {l}", "a {n} made of {m}", "a report about {w}", "the history of {w}",
    "what is {w}", "how to {o} a {n}", "{w} and {v}", "the price of a {n}", "a picture of a {l} {n}",
    "buy a {n} for {w}", "why {w}", "a list of {w} and {v}", "{w} is better than {v}", "a book about {w} and {m}",
    "who made the {n}", "{w} {v} {u}", "where is the {n}", "the {n} and its {w}", "an article on {w}", "he is a {w}",
    "she likes {w}", "they discuss {w}", "the {l} {n} has a {m}", "instructions for {w}", "the {w} department",
    "a {l} {n} in the style of {w}", "{w} {u} {v} {n}", "a very detailed {n}", "the model of a {n}", "email about {w}",
    "the {w} was {v} last year", "is the {n} {w}",
)  # fmt: skip
_PAST = {
    "swing": "swung", "bend": "bent", "spin": "spun", "fall": "fallen", "fly": "flown", "shake": "shaken",
    "rise": "risen", "grow": "grown", "shrink": "shrunk", "swim": "swum", "run": "run", "leap": "leapt",
    "creep": "crept", "sweep": "swept", "wind": "wound", "lean": "leant", "spring": "sprung", "sink": "sunk",
    "fling": "flung", "stand": "stood", "hang": "hung", "throw": "thrown", "take": "taken", "blow": "blown",
    "go": "gone", "make": "made", "do": "done", "get": "got", "come": "come", "put": "put", "hold": "held",
    "keep": "kept", "read": "read", "write": "written", "eat": "eaten", "break": "broken", "tear": "torn",
    "draw": "drawn", "spread": "spread", "shut": "shut", "cut": "cut", "let": "let",
}  # fmt: skip


def participle(verb: str) -> str:
    """The verb's form of what is done."""
    _, continuous, _ = conjugated(verb)
    stem = continuous.removesuffix("ing")
    ended = stem[:-1] + "i" if stem.endswith("y") and stem[-2:-1] not in "aeiou" else stem
    return _PAST.get(verb, ended + "ed")


@dataclass(frozen=True)
class Lexicon:
    """Words that sentences are made of."""

    nouns: Sequence[str]  # things that can move
    words: Sequence[str]  # of any kind, about no motion
    others: Sequence[str] = field(default=OTHER_VERBS)


def acting(generator: np.random.Generator, lexicon: Lexicon, phrase: str) -> str:
    """A sentence in which something does what a phrase such as "hop up and down" says."""
    verb, *rest = phrase.split()
    frames: Sequence[str] = ACTING
    chance = generator.random()
    if rest[:1] == ["its"] and len(rest) > 1 and chance < 0.25:
        frames, rest, owned = OWNED, rest[2:], rest[1]
    else:
        frames, owned = (DONE if not rest and chance < 0.2 else ACTING), ""
        rest = [_pick(generator, OWNERS) if word == "its" and chance > 0.6 else word for word in rest]
    present, continuous, plain = (" ".join([form, *rest]) for form in conjugated(verb))
    forms = {"b": plain, "s": present, "g": continuous, "p": participle(verb), "o": owned}
    noun = _pick(generator, lexicon.nouns)
    if generator.random() < 0.25:
        noun = f"{_pick(generator, LOOKS)} {noun}"
    sentence = _pick(generator, frames).format(n=noun, **forms)
    if generator.random() < 0.3:
        manner = _pick(generator, MANNERS)
        sentence = f"{manner} {sentence}" if generator.random() < 0.1 else f"{sentence} {manner}"
    if generator.random() < 0.1:
        sentence += f" {_pick(generator, SIDES)}"
    return f"{sentence} {_pick(generator, PLACES)}" if generator.random() < 0.15 else sentence


def naming(generator: np.random.Generator, lexicon: Lexicon) -> str:
    """A sentence in which nothing moves, or none at all."""
    if generator.random() < 0.08:
        return " ".join(_strange(generator) for _ in range(generator.integers(1, 5)))
    picked = {key: _pick(generator, lexicon.words) for key in "wvu"}
    nouns = {key: _pick(generator, lexicon.nouns) for key in "nm"}
    return _pick(generator, NAMING).format(
        **picked, **nouns, l=_pick(generator, LOOKS), o=_pick(generator, lexicon.others).split()[0]
    )


def _strange(generator: np.random.Generator) -> str:
    """A number, or a word of no language."""
    if generator.random() < 0.3:
        return str(generator.integers(10 ** int(generator.integers(1, 8))))
    return "".join(_pick(generator, "abcdefghijklmnopqrstuvwxyz") for _ in range(generator.integers(2, 9)))


def _pick(generator: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(generator.integers(len(choices)))]
