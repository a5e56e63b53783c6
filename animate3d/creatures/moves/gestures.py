"""Moves of heads, arms, wings, tails, petals and whatever else turns on a body."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.moves.gaits import hips, raise_towards
from animate3d.creatures.moves.move import Cue, Move
from animate3d.creatures.moves.rhythms import hold, lag, plateaus
from animate3d.creatures.moves.stance import Stance
from animate3d.creatures.moves.subject import Subject
from animate3d.creatures.moves.whole import rotated
from animate3d.creatures.rigs import UP, bend_limb, pulse, settle, wave
from animate3d.creatures.sculpt.fields import Points


def _turn_head(subject: Subject, stance: Stance, axis: Points, angle: float) -> None:
    """Turn heads, necks under them taking their part."""
    heads, necks = subject.having("head"), subject.having("neck")
    for head in heads:
        stance.turn(head, axis, (0.65 if necks else 1.0) * angle)
    for neck in necks:
        stance.bend(neck, axis, (0.5 if heads else 1.0) * angle)


def _shake_head(subject: Subject, stance: Stance, cue: Cue) -> None:
    """To one side and the other twice, leaning a little."""
    swing = wave(2.0 * cue.t)
    _turn_head(subject, stance, UP, 0.62 * cue.amplitude * swing)
    _turn_head(subject, stance, subject.front, -0.2 * cue.amplitude * swing)


def _nod(subject: Subject, stance: Stance, cue: Cue) -> None:
    _turn_head(subject, stance, subject.side, 0.75 * cue.amplitude * wave(cue.t))


def _turn_to(subject: Subject, stance: Stance, cue: Cue) -> None:
    _turn_head(subject, stance, UP, cue.sign * 0.95 * min(cue.amplitude, 1.5) * settle(cue.t))


def _look_around(subject: Subject, stance: Stance, cue: Cue) -> None:
    """Left and then right, resting at both, the head raised."""
    _turn_head(subject, stance, UP, 0.9 * min(cue.amplitude, 1.5) * plateaus(cue.t))
    _turn_head(subject, stance, subject.side, -0.3 * cue.amplitude * hold(cue.t))


def _raise_head(subject: Subject, stance: Stance, cue: Cue) -> None:
    _turn_head(subject, stance, subject.side, -0.75 * min(cue.amplitude, 1.5) * settle(cue.t))


def _rear(subject: Subject, points: Points, angle: float) -> Points:
    """What lies on the ground without legs or neck bends its front up as a whole."""
    if subject.having("neck", "leg") or not subject.having("tail"):
        return points
    place = subject.points @ subject.front
    ahead = np.clip(place - (place.min() + 0.55 * np.ptp(place)), 0.0, None)
    root = subject.center + (0.05 * float(np.ptp(place))) * subject.front
    return bend_limb(points, ahead, root, subject.front, UP, angle)


def _raise_front(subject: Subject, points: Points, cue: Cue) -> Points:
    return _rear(subject, points, 0.65 * min(cue.amplitude, 1.4) * settle(cue.t))


def _lower_front(subject: Subject, points: Points, cue: Cue) -> Points:
    return _rear(subject, points, -0.6 * min(cue.amplitude, 1.4) * settle(cue.t))


def _lower_head(subject: Subject, stance: Stance, cue: Cue) -> None:
    _turn_head(subject, stance, subject.side, 0.85 * min(cue.amplitude, 1.5) * settle(cue.t))


def _peck(subject: Subject, stance: Stance, cue: Cue) -> None:
    """The body tips forward over its feet and the head follows."""
    dip = min(cue.amplitude, 1.5) * pulse(cue.t)
    _turn_head(subject, stance, subject.side, 0.5 * dip)
    stance.tip(subject.side, 0.45 * dip, hips(subject))
    for leg in subject.having("leg"):
        stance.turn(leg, subject.side, -0.45 * dip)


def _roar(subject: Subject, stance: Stance, cue: Cue) -> None:
    """The mouth opens wide, the head goes up, then both come back."""
    cry = min(cue.amplitude, 1.5) * hold(cue.t, 0.35)
    for jaw in subject.having("jaw"):
        stance.swing(jaw, 0.8 * cry)
    _turn_head(subject, stance, subject.side, -0.6 * cry)


def _flap(subject: Subject, stance: Stance, cue: Cue) -> None:
    """Both wings up, down and back, tips trailing; the body goes the other way."""
    size, beat = min(cue.amplitude, 1.5), wave(cue.t)
    late = wave(lag(cue.t, 0.12))
    for wing in cue.limbs(subject, "wing"):
        stance.curl(wing, [0.5 * size * beat, 0.15 * size * late, 0.15 * size * late])
    stance.shift -= 0.03 * subject.size * size * beat * UP


def _flutter(subject: Subject, stance: Stance, cue: Cue) -> None:
    """Three small quick beats."""
    for wing in cue.limbs(subject, "wing"):
        stance.curl(wing, [0.42 * cue.amplitude * wave(3.0 * cue.t)])
    stance.shift += subject.lift(0.05 * cue.amplitude) * hold(cue.t, 0.4) * UP


def _wag(subject: Subject, stance: Stance, cue: Cue) -> None:
    """The tail from side to side twice."""
    for tail in subject.having("tail"):
        stance.curl(tail, [0.27 * cue.amplitude * wave(2.0 * cue.t)] * 3)


def _swish(subject: Subject, stance: Stance, cue: Cue) -> None:
    """One wide sweep of the tail to both sides, its tip late, curling."""
    for tail in subject.having("tail"):
        sweep = [0.27 * min(cue.amplitude, 1.5) * wave(lag(cue.t, 0.055 * bone)) for bone in range(5)]
        stance.curl(tail, sweep)


def _wave_arm(subject: Subject, stance: Stance, cue: Cue) -> None:
    """One arm goes up, waves twice or as often as is said, and comes down."""
    arm = min(cue.limbs(subject, "arm"), key=lambda number: subject.parts[number].side)
    up, swing = hold(cue.t / max(cue.count, 1), 0.3), wave(cue.t if cue.count else 2.0 * cue.t)
    raise_towards(subject, stance, arm, min(0.5 + 0.5 * cue.amplitude, 1.25) * up)
    stance.turn(arm, subject.front, 0.4 * min(cue.amplitude, 1.5) * up * swing)
    stance.turn(arm, subject.front, 0.4 * min(cue.amplitude, 1.5) * up * swing, bone=1)


def _raise_arms(subject: Subject, stance: Stance, cue: Cue) -> None:
    for arm in cue.limbs(subject, "arm"):
        raise_towards(subject, stance, arm, min(cue.amplitude, 1.1) * settle(cue.t))


def _petals(subject: Subject, stance: Stance, angle: float) -> None:
    for petal in subject.having("petal"):
        stance.curl(petal, [0.7 * angle, 0.3 * angle])


def _open_petals(subject: Subject, stance: Stance, cue: Cue) -> None:
    _petals(subject, stance, 0.75 * min(cue.amplitude, 1.5) * settle(cue.t))


def _close_petals(subject: Subject, stance: Stance, cue: Cue) -> None:
    _petals(subject, stance, -0.75 * min(cue.amplitude, 1.5) * settle(cue.t))


def _open_lid(subject: Subject, stance: Stance, cue: Cue) -> None:
    for lid in subject.having("lid"):
        stance.swing(lid, 1.0 * min(cue.amplitude, 1.5) * settle(cue.t))


def _propeller(subject: Subject, stance: Stance, cue: Cue) -> None:
    """At an even rate, slow enough that frames show which way."""
    for propeller in subject.having("propeller"):
        stance.swing(propeller, cue.turned(np.deg2rad(240.0) * cue.t))


def _tentacles(subject: Subject, stance: Stance, cue: Cue) -> None:
    """Each bends to both sides, neighbours one after the other."""
    for number in subject.having("tentacle"):
        late = 0.25 * subject.parts[number].order
        swing = [0.24 * cue.amplitude * wave(lag(cue.t, late + 0.01 * bone)) for bone in range(5)]
        stance.curl(number, swing)


def _paddle(subject: Subject, stance: Stance, cue: Cue) -> None:
    for fin in subject.having("fin"):
        if subject.parts[fin].side:
            stance.swing(fin, 0.4 * cue.amplitude * wave(cue.t))


def _swim(subject: Subject, points: Points, cue: Cue) -> Points:
    """A wave that grows towards the tail; the head swings a little against it."""
    place = subject.points @ subject.front
    back = (place.max() - place) / max(float(np.ptp(place)), 1e-9)
    steps = np.array([wave(lag(cue.t, late)) for late in np.linspace(0.0, 0.2, 9)])
    swing = np.interp(back, np.linspace(0.0, 1.0, 9), steps)
    far = subject.size * min(cue.amplitude, 1.5) * (0.27 * np.clip(back - 0.25, 0.0, None) ** 1.5 / 0.65 - 0.06)
    return points + (far * swing)[:, None] * subject.side


def _slither(subject: Subject, points: Points, cue: Cue) -> Points:
    """Waves run along it; they start where those of the family of snakes do."""
    place = subject.points @ subject.front
    back = (place.max() - place) / max(float(np.ptp(place)), 1e-9)
    still = 2 * np.pi * (1.25 * back + 0.05)
    run = np.sin(still) - np.sin(still + 2 * np.pi * cue.t)
    return points + (0.1 * subject.size * min(cue.amplitude, 1.5) * run)[:, None] * subject.side


def _dive(subject: Subject, points: Points, cue: Cue) -> Points:
    """Nose down, and down."""
    done = settle(cue.t)
    nose = rotated(points, subject.center, subject.side, 0.6 * min(cue.amplitude, 1.6) * done)
    return nose - subject.lift(0.15 * cue.amplitude) * done * UP + 0.03 * subject.size * done * subject.front


_HEAD = ("head", "neck")
_LEGLESS = ("leg", "arm", "wheel", "wing", "propeller")

GESTURES = (
    Move("shake_head", ("shaking its head",), needs=_HEAD, fastest=1.5, beats=2, turn=_shake_head),
    Move("nod", ("nodding", "nodding its head"), needs=_HEAD, turn=_nod),
    Move("turn_head", ("turning its head",), needs=_HEAD, directions=("left", "right"), cyclic=False, turn=_turn_to),
    Move("look_around", ("looking around",), needs=_HEAD, turn=_look_around),
    Move(
        "raise_head", ("raising its head", "looking up"), needs=_HEAD, cyclic=False, turn=_raise_head, warp=_raise_front
    ),
    Move(
        "lower_head",
        ("lowering its head", "looking down"),
        needs=_HEAD,
        cyclic=False,
        turn=_lower_head,
        warp=_lower_front,
    ),
    Move("peck", ("pecking",), needs=_HEAD, without=("stem",), uses=(*_HEAD, "leg", "place", "shape"), turn=_peck),
    Move("roar", ("roaring", "opening its mouth"), needs=("jaw",), uses=(*_HEAD, "jaw"), turn=_roar),
    Move("flap", ("flapping its wings", "flying"), needs=("wing",), sided=True, turn=_flap),
    Move(
        "flutter",
        ("fluttering its wings", "fluttering"),
        needs=("wing",),
        fastest=1.0,
        beats=3,
        uses=("wing", "place"),
        sided=True,
        turn=_flutter,
    ),
    Move("wag", ("wagging its tail",), needs=("tail",), fastest=1.5, beats=2, turn=_wag),
    Move("swish", ("swishing its tail",), needs=("tail",), turn=_swish),
    Move("wave", ("waving", "waving its arm"), needs=("arm",), sided=True, turn=_wave_arm),
    Move("raise_arms", ("raising its arms",), needs=("arm",), cyclic=False, sided=True, turn=_raise_arms),
    Move("open_petals", ("opening its petals", "blooming"), needs=("petal",), cyclic=False, turn=_open_petals),
    Move("close_petals", ("closing its petals",), needs=("petal",), cyclic=False, turn=_close_petals),
    Move("open_lid", ("opening its lid",), needs=("lid",), cyclic=False, turn=_open_lid),
    Move(
        "propeller",
        ("spinning its propeller",),
        needs=("propeller",),
        cyclic=False,
        fastest=1.5,
        turns=True,
        shown_in=8,
        graded=False,
        turn=_propeller,
    ),
    Move("wave_tentacles", ("waving its tentacles",), needs=("tentacle",), turn=_tentacles),
    Move(
        "swim",
        ("swimming",),
        needs=("fin", "tail"),
        needs_all=True,
        without=_LEGLESS,
        uses=("fin", "tail", "shape"),
        turn=_paddle,
        warp=_swim,
    ),
    Move(
        "slither", ("slithering",), needs=("tail",), without=(*_LEGLESS, "fin"), uses=("tail", "shape"), warp=_slither
    ),
    Move(
        "dive",
        ("diving",),
        needs=("fin", "wing"),
        without=("wheel",),
        cyclic=False,
        uses=("place", "heading"),
        warp=_dive,
    ),
)
"""Moves of parts."""
