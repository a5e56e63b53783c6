"""What game engines and viewers want of an animated file, in one table."""

from __future__ import annotations

from dataclasses import dataclass

from animate3d.errors import InputError


@dataclass(frozen=True)
class Engine:
    """Choices for one engine; what is given beside it wins.

    Attributes:
        formats: that it imports with skeleton and materials, the best first.
        skeleton: of its files.
        max_morphs: where morph targets are asked for all the same; None where the engine sets no limit.
        unit: metres of a unit in FBX files, whose importers take them for the engine's own.
        loop_mark: what the engine reads at the end of a clip's name as "plays in a loop".
    """

    formats: tuple[str, ...]
    skeleton: str = "auto"
    max_morphs: int | None = None
    unit: float = 1.0
    loop_mark: str = ""


ENGINES: dict[str, Engine] = {
    "unity": Engine(("fbx",)),  # y up, metres; "Convert Units" reads the file's own factor
    "unreal": Engine(("fbx",), unit=0.01),  # centimetres; the importer turns y up to z up
    "godot": Engine(("glb",), loop_mark="-loop"),
    "web": Engine(("glb",), max_morphs=8),  # memory grows with vertices times targets
}


def engine_named(name: str) -> Engine:
    """The engine of a name in `ENGINES`.

    Raises:
        InputError: there is none of this name.
    """
    if name not in ENGINES:
        raise InputError(f"The engine `{name}` is unknown; known are: {', '.join(ENGINES)}.")
    return ENGINES[name]
