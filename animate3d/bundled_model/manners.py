"""How something is to be done: the adverbs, numbers and directions of a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

GENTLE, STRONG, SLOW, QUICK = 0.5, 1.6, 0.5, 2.0


@dataclass(frozen=True)
class Wish:
    """What the words of a clause ask for; None or empty where they say nothing.

    Attributes:
        amplitude, speed: 1 is the usual one.
        count: how often.
        directions: names, the first one said first.
    """

    amplitude: float | None = None
    speed: float | None = None
    count: int | None = None
    directions: tuple[str, ...] = field(default=())

    def __or__(self, other: Wish) -> Wish:
        """Both; where both say something about the same, the first one's word stands."""
        return Wish(
            other.amplitude if self.amplitude is None else self.amplitude,
            other.speed if self.speed is None else self.speed,
            other.count if self.count is None else self.count,
            (*self.directions, *other.directions),
        )


_SAID: Mapping[Wish, str] = {
    Wish(amplitude=GENTLE): (
        "gently, softly, slightly, subtly, lightly, mildly, faintly, weakly, barely, delicately, tenderly, "
        "timidly, shyly, carefully, cautiously, calmly, hardly, scarcely, quietly, minimally, low, a little, a "
        "bit, a tad, a touch, a tiny bit, a little bit, just a little, not much, somewhat, tiny, small, little, "
        "gentle, soft, slight, subtle, light, faint, weak, careful, cautious, timid, shy, close to the ground, a "
        "fraction, a few inches, a small way, without force, halfway, half way, feebly, gingerly, daintily, "
        "limply, meekly, discreetly, modestly, imperceptibly, marginally, moderately, peacefully, serenely, "
        "soothingly, hesitantly, tentatively, with small movements, with tiny movements, with small steps"
    ),
    Wish(amplitude=STRONG): (
        "strongly, powerfully, vigorously, violently, wildly, energetically, intensely, dramatically, widely, "
        "wide, hard, heavily, forcefully, fiercely, furiously, greatly, hugely, enormously, extremely, massively, "
        "strong, powerful, vigorous, violent, wild, energetic, intense, dramatic, mighty, mightily, "
        "enthusiastically, excitedly, exaggeratedly, exuberantly, like crazy, like mad, like hell, a lot, very "
        "much, so much, far, deep, deeply, high, highly, higher, way up, sky high, huge, enormous, massive, "
        "giant, great, big, with force, with great force, with all its might, with full force, with full power, "
        "with power, as much as possible, as far as possible, as hard as possible, as high as possible, with "
        "energy, with vigour, with vigor, to the limit, all the way, completely, fully, extreme, heavy, forceful, "
        "fierce, furious, tremendously, immensely, harshly, boldly, ferociously, savagely, brutally, "
        "aggressively, passionately, tempestuously, explosively, boisterously, rigorously, robustly, sharply, "
        "severely, vehemently, madly, insanely, crazily, uncontrollably, ecstatically, eagerly, emphatically, "
        "theatrically, exceedingly, excessively, vastly, thoroughly, profoundly, generously, firmly, "
        "with big movements, with large movements, with big steps"
    ),
    Wish(speed=SLOW): (
        "slowly, slow, gradually, lazily, leisurely, sluggishly, unhurriedly, ponderously, calmly, patiently, "
        "wearily, languidly, in slow motion, slow motion, slow mo, slomo, at a slow pace, in no hurry, taking its "
        "time, bit by bit, little by little, without haste, at a snail pace, lazy, sluggish, calm, gradual, "
        "steadily, drowsily, sleepily, tiredly, ploddingly, languorously, dreamily, lethargically, serenely, "
        "peacefully, hesitantly, tediously, laboriously"
    ),
    Wish(speed=QUICK): (
        "quickly, quick, fast, faster, rapidly, rapid, swiftly, swift, speedily, speedy, briskly, brisk, hastily, "
        "hurriedly, hurried, frantically, frantic, nimbly, hectically, at high speed, at full speed, at top "
        "speed, at great speed, at speed, at full tilt, in a hurry, in a rush, in no time, as fast as possible, "
        "at a fast pace, like lightning, like the wind, in fast motion, high speed, full speed, top speed, "
        "suddenly, feverishly, frenetically, zippily, promptly, abruptly, instantly, urgently, snappily, "
        "furiously, in a flash, at breakneck speed, at lightning speed, super fast, like a flash"
    ),
    Wish(count=1): (
        "once, one time, a single time, just once, full turn, full rotation, full circle, full spin, full revolution, "
        "complete turn, complete rotation, complete circle, complete spin, complete revolution, whole turn, "
        "360 degrees, all the way around, all the way round"
    ),
    Wish(count=2): "twice, a couple of times, again and again, repeatedly, over and over, 720 degrees",
    Wish(count=3): "thrice, several times, a few times, many times",
    Wish(directions=("left",)): (
        "left, leftward, leftwards, counterclockwise, counter clockwise, anticlockwise, anti clockwise, left hand side"
    ),
    Wish(directions=("right",)): "right, rightward, rightwards, clockwise",
    Wish(directions=("forward",)): (
        "forward, forwards, ahead, frontward, frontwards, to the front, towards me, toward me, towards us, toward "
        "us, towards the camera, toward the camera, towards the viewer, toward the viewer, straight on"
    ),
    Wish(directions=("backward",)): (
        "back, backward, backwards, rearward, rearwards, away from me, away from us, away from the camera, away "
        "from the viewer, in reverse"
    ),
    Wish(directions=("up",)): "up, upward, upwards, skyward, skywards",
    Wish(directions=("down",)): "down, downward, downwards",
    Wish(): (
        "back and forth, to and fro, forwards and backwards, forward and backward, forward and back, forwards and "
        "back, backwards and forwards, back and forwards, left and right, right and left, side to side, up and "
        "down, from left to right and back, right away, right now, all right, right there, straight away, over "
        "and over again, at once, once upon, high five, so far, far away, back home, still water, left behind"
    ),
}
PHRASES: dict[tuple[str, ...], Wish] = {}
"""What a phrase of the language asks for; the ones that ask for nothing hide the words they are made of."""
for _wish, _phrases in _SAID.items():
    for _phrase in _phrases.split(", "):
        _words = tuple(_phrase.split())
        PHRASES[_words] = PHRASES.get(_words, Wish()) | _wish
_NAMES = (
    "one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, fifteen, sixteen"
)
_NUMBERS = {str(number): number for number in range(1, 100)}
_NUMBERS |= {name: number for number, name in enumerate(_NAMES.split(", "), 1)}
for _word, _number in _NUMBERS.items():
    PHRASES |= {(_word, times): Wish(count=_number) for times in ("time", "times", "x")}
_LONGEST = max(map(len, PHRASES))


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ADJECTIVES = _set(
    "tiny small little gentle soft slight subtle faint weak strong powerful vigorous violent wild energetic intense "
    "dramatic mighty huge enormous massive giant great big lazy sluggish gradual extreme slow quick rapid "
    "swift speedy brisk hurried frantic careful cautious timid shy heavy forceful fierce furious leisurely calm"
)
"""They describe a motion only where its name follows: not the big dog, but a big jump."""
_EITHER = _set("high wide hard deep low far fast back left right light")
"""Adjectives after an article, where no motion's name follows, else adverbs."""
_WHOLE = _set("full complete whole")
_ARTICLES = _set("a an the this that my your its his her our their one some")
_AFTER_ALL = _set("to towards toward left right forward forwards back backwards up down in on at and while as from")
"""Words before which "a little" is no part of a thing's name."""
_TOWARDS = _set("to towards toward")
_COUNTED = _set(
    "hop jump leap bounce spin turn rotation revolution roll somersault flip nod bow kick wave flap shake twirl"
)
"""Nouns of motions that a number before them counts."""
_COMPARED = _set("as more higher faster bigger larger smaller slower lower farther further larger taller wider longer")
"""Words after which "twice" or "three times" says no number: twice as high."""
_DEGREES = _set("very too so that really particularly all overly extremely")


@dataclass(frozen=True)
class Saying:
    """The words ``start`` to ``end`` of a sentence, and what they ask for."""

    start: int
    end: int
    wish: Wish


def sayings(words: Sequence[str], is_motion: Callable[[str], bool]) -> Iterator[Saying]:
    """The longest known phrases in a sentence, from its start; those that are denied ask for nothing."""
    place = 0
    while place < len(words):
        for size in range(min(_LONGEST, len(words) - place), 0, -1):
            wish = PHRASES.get(tuple(words[place : place + size]))
            if wish is not None and _meant(words, place, size, is_motion):
                yield Saying(place, place + size, Wish() if _denied(words, place) else wish)
                place += size
                break
        else:
            if (count := _counting(words, place)) and not _denied(words, place):
                yield Saying(place, place + 1, Wish(count=count))
            place += 1


def _counting(words: Sequence[str], place: int) -> int:
    """The number of motions that a word says, as in "three small hops"; 0 for any other word."""
    number = 1 if words[place] == "single" else _NUMBERS.get(words[place], 0)
    if not number:
        return 0
    noun = next((word for word in words[place + 1 :] if word not in _ADJECTIVES | _EITHER | _WHOLE), "")
    return number if noun.removesuffix("s") in _COUNTED and noun.endswith("s") == (number > 1) else 0


def _meant(words: Sequence[str], place: int, size: int, is_motion: Callable[[str], bool]) -> bool:
    """Whether a phrase describes the motion, and not the thing."""
    after = words[place + size] if place + size < len(words) else ""
    if PHRASES[tuple(words[place : place + size])].count and after in _COMPARED:
        return False
    if words[place : place + size] == ["a", "little"]:
        return not after or after in _AFTER_ALL or is_motion(after)
    if size > 1 or words[place] not in _ADJECTIVES | _EITHER:
        return True
    before = words[place - 1] if place else ""
    describes = next((word for word in words[place + 1 :] if word not in _ADJECTIVES), "")
    if words[place] in _EITHER:
        towards = place > 1 and words[place - 2] in _TOWARDS
        return before not in _ARTICLES or towards or (bool(describes) and is_motion(describes))
    return is_motion(describes) if describes else before not in ("is", "looks")


def _denied(words: Sequence[str], place: int) -> bool:
    """Whether it is said not to hold, as in "not too fast"."""
    before = place - 1
    while before >= 0 and words[before] in _DEGREES:
        before -= 1
    return before >= 0 and words[before] == "not"
