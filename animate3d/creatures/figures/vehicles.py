"""Cars, trucks, trains, carts and boats."""

from __future__ import annotations

from animate3d.creatures.figures.limbs import add_fin, add_wheel, point
from animate3d.creatures.figures.plan import FRONT, LEFT, UP, Place, Plan, unit

NOUNS: dict[str, tuple[str, ...]] = {
    "car": ("car", "taxi", "sports car", "race car", "toy car", "jeep", "van"),
    "truck": ("truck", "lorry", "fire truck", "dump truck", "pickup"),
    "bus": ("bus", "van", "camper", "ambulance", "tram"),
    "train": ("train", "locomotive", "steam engine", "toy train"),
    "cart": ("cart", "wagon", "trolley", "carriage", "skateboard", "scooter"),
    "tractor": ("tractor", "bulldozer", "farm tractor", "tank"),
    "boat": ("boat", "ship", "sailboat", "toy boat", "ferry"),
}


def draw_vehicle(plan: Plan) -> str:
    """A vehicle on wheels, or a boat; returns its noun."""
    plan.blend = min(plan.blend, 0.1)
    plan.tints |= {"wheel": (0.1, 0.1, 0.11)}
    style = plan.pick(("car", "car", "truck", "bus", "train", "cart", "tractor", "boat"))
    if style == "boat":
        return _boat(plan)
    long, wide, tall = plan.size(0.85, 0.15), plan.size(0.36, 0.2), plan.size(0.2, 0.3)
    radius = min(plan.size(0.19, 0.25), 0.45 * long)
    trunk = plan.part("trunk", -1, point(0, 0, -long), point(0, 0, long))
    body, rounding = Place(trunk), plan.among(0.02, 0.14)
    {"car": _car, "truck": _truck, "bus": _bus, "train": _train, "cart": _cart, "tractor": _tractor}[style](
        plan, body, long, wide, tall, rounding
    )
    bottom = -tall - plan.among(-0.2, 0.6) * radius
    pairs = {"car": 2, "truck": plan.count(2, 3), "bus": plan.count(2, 3), "train": plan.count(3, 4),
             "cart": plan.count(1, 2), "tractor": 2}[style]  # fmt: skip
    for pair in range(pairs):
        order = pair / max(pairs - 1, 1)
        z = long * (0.65 - 1.3 * order) if pairs > 1 else 0.0
        size = radius * (1.7 if style == "tractor" and pair else 1.0)
        for side in (1, -1):
            half = plan.among(0.05, 0.06)
            center = point((wide + plan.among(-0.3, 0.6) * half) * side, bottom + size - radius, z)
            add_wheel(plan, trunk, center, size, half, side, order)
    return plan.pick(NOUNS[style])


def _lamps(plan: Plan, place: Place, wide: float, long: float, height: float) -> None:
    for x in (-0.65, 0.65):
        plan.ball(place, point(x * wide, height, long), [0.06, 0.06, 0.03])


def _mirrors(plan: Plan, place: Place, wide: float, height: float, long: float) -> None:
    if plan.chance(0.7):
        for x in (-1, 1):
            plan.ball(place, point(x * (wide + 0.05), height, long), [0.07, 0.05, 0.035])


def _car(plan: Plan, place: Place, long: float, wide: float, tall: float, rounding: float) -> None:
    plan.box(place, point(0, 0, 0), [wide, tall, long], rounding)
    cabin = plan.size(0.55, 0.15) * long
    at = point(0, tall + plan.among(0.1, 0.2), plan.among(-0.35, 0.05) * long)
    high, narrow = plan.size(0.2), plan.among(0.0, 0.3)
    with plan.aside():  # the windscreen leans more than the rear window, most often behind a hood
        lean = plan.among(0.3, 0.9) if plan.chance(0.85) else 0.0
        narrow = max(narrow, plan.among(0.12, 0.35) if lean else 0.0)
        at[2] -= min(plan.among(0.0, 0.2) * long, max(0.95 * long - cabin + at[2], 0.0))
        plan.box(place, at, [0.88 * wide, high, cabin], rounding, narrow=narrow, lean=-lean * narrow * cabin)
        _mirrors(plan, place, 0.93 * wide, at[1] - 0.4 * high, at[2] + 0.8 * cabin)
    _lamps(plan, place, wide, long, 0.1 * tall)
    if plan.chance(0.25):
        plan.box(place, point(0, tall + 0.2, -long), [wide, 0.025, 0.1], 0.01)


def _truck(plan: Plan, place: Place, long: float, wide: float, tall: float, rounding: float) -> None:
    plan.box(place, point(0, -0.6 * tall, 0), [0.9 * wide, 0.4 * tall, long], 0.03)
    cab = plan.among(0.2, 0.35) * long
    high = plan.size(0.3)
    plan.box(place, point(0, high - tall, long - cab), [wide, high, cab], rounding, narrow=plan.among(0, 0.15))
    load = plan.size(0.33, 0.35)
    middle = point(0, load - 0.4 * tall, -cab)
    if plan.chance(0.7):
        plan.box(place, middle, [wide, load, long - cab - 0.04], 0.03, narrow=plan.among(-0.2, 0.05))
    else:
        end = (long - cab - 0.05) * FRONT
        plan.drum(place, middle - end, middle + end, (0.9 * wide, 0.9 * wide), 0.06)
    _lamps(plan, place, wide, long, -0.3 * tall)


def _bus(plan: Plan, place: Place, long: float, wide: float, tall: float, rounding: float) -> None:
    high = plan.size(0.42)
    plan.box(place, point(0, high - tall, 0), [wide, high, long], rounding)
    _lamps(plan, place, wide, long, -0.6 * tall)
    with plan.aside():
        if plan.chance(0.6):  # the windscreen leans back over a short nose
            nose = plan.among(0.08, 0.2) * long
            plan.box(place, point(0, 0.35 * high - tall, long), [0.97 * wide, 0.35 * high, nose], rounding)
        _mirrors(plan, place, wide, high - tall + 0.4 * high, 0.97 * long)
    if plan.chance(0.4):
        plan.box(place, point(0, 2 * high - tall + 0.04, 0), [0.6 * wide, 0.06, 0.5 * long], 0.02)


def _train(plan: Plan, place: Place, long: float, wide: float, tall: float, rounding: float) -> None:
    boiler = plan.size(0.27)
    plan.box(place, point(0, -0.6 * tall, 0), [wide, 0.4 * tall, long], 0.03)
    plan.drum(place, point(0, boiler, -0.4 * long), point(0, boiler, 0.95 * long), (boiler, boiler), 0.04)
    plan.box(place, point(0, 0.4, -0.65 * long), [wide, 0.45, 0.3 * long], 0.04)
    plan.box(place, point(0, 0.87, -0.65 * long), [1.15 * wide, 0.04, 0.37 * long], 0.02)
    z = plan.among(0.5, 0.75) * long
    chimney = plan.size(0.3)
    plan.drum(place, point(0, 1.6 * boiler, z), point(0, 2 * boiler + chimney, z), (0.08, plan.among(0.08, 0.16)), 0.02)
    if plan.chance(0.6):
        plan.ball(place, point(0, 2 * boiler, 0.1 * long), 0.13)


def _cart(plan: Plan, place: Place, long: float, wide: float, tall: float, rounding: float) -> None:
    plan.box(place, point(0, -0.5 * tall, 0), [wide, 0.05, 0.75 * long], 0.02)
    if plan.chance(0.7):
        for x in (-1, 1):
            plan.box(place, point(x * wide, 0.2 * tall, 0), [0.035, 0.7 * tall, 0.75 * long], 0.01)
        for z in (-1, 1):
            plan.box(place, point(0, 0.2 * tall, 0.75 * z * long), [wide, 0.7 * tall, 0.035], 0.01)
    if plan.chance(0.6):
        end = point(0, plan.among(0.0, 0.6), 1.3 * long)
        plan.limb(place, [(point(0, -0.5 * tall, 0.7 * long), 0.035), (end, 0.03)])
        plan.limb(place, [(end - 0.15 * LEFT, 0.03), (end + 0.15 * LEFT, 0.03)])
    if plan.chance(0.5):
        plan.ball(place, point(0, 0.1, 0), [0.7 * wide, plan.size(0.3), 0.55 * long])


def _tractor(plan: Plan, place: Place, long: float, wide: float, tall: float, rounding: float) -> None:
    plan.box(place, point(0, 0, 0.35 * long), [0.6 * wide, tall, 0.6 * long], rounding)
    plan.box(place, point(0, 0.25, -0.45 * long), [0.85 * wide, 0.35, 0.35 * long], rounding, narrow=plan.among(0, 0.2))
    plan.limb(place, [(point(0.12, tall, 0.6 * long), 0.045), (point(0.12, tall + 0.35, 0.6 * long), 0.045)])
    _lamps(plan, place, 0.6 * wide, 0.95 * long, 0.3 * tall)


def _boat(plan: Plan) -> str:
    long, wide, tall = plan.size(0.85, 0.15), plan.size(0.34), plan.size(0.2)
    trunk = plan.part("trunk", -1, point(0, 0, -long), point(0, 0, long))
    place = Place(trunk)
    plan.box(place, point(0, 0, -0.15 * long), [wide, tall, 0.75 * long], 0.08, narrow=-plan.among(0.1, 0.3))
    plan.ball(place, point(0, 0.02, 0.5 * long), [1.1 * wide, 1.02 * tall, 0.6 * long])
    if plan.chance(0.5):
        root, top = point(0, 0, 0.1), point(0, plan.size(1.2, 0.15), 0.1)
        plan.limb(place, [(root, 0.04), (top, 0.03)])
        start, end = 0.75 * top + 0.25 * root - 0.02 * FRONT, point(0, 0.4, -0.5 * long)
        sail = plan.part("sail", trunk, root, top, soft=0.05)
        plan.plate(Place(sail), start, end, (0.08, 0.3), 0.025, LEFT)
    else:
        plan.box(place, point(0, tall + 0.18, -0.2 * long), [0.6 * wide, 0.22, 0.35 * long], 0.04)
        z = -0.25 * long
        plan.drum(place, point(0, tall, z), point(0, tall + plan.size(0.65), z), (0.1, 0.1), 0.02)
    if plan.chance(0.3):
        for side in (1, -1):
            start = point(wide * side, 0.5 * tall, 0)
            end = start + 0.6 * unit(point(side, -0.35, 0))
            add_fin(plan, trunk, start, end, 0.12, 0.025, UP, side)
    return plan.pick(NOUNS["boat"])
