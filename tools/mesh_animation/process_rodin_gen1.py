"""Complete an object folder of Rodin-Gen1: add the base.mtl it lacks and the lines of base.obj that use it."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from animate3d.errors import InputError, run_command
from animate3d.files import atomic_directory, existing_folder

EXAMPLES = """example:
  python tools/mesh_animation/process_rodin_gen1.py --source_path downloads/dragon --save_path data/dragon

The source folder is left as it is; its files are copied to --save_path, which must not exist yet or be empty."""

_MAPS = {"map_Kd": "texture_diffuse.png", "map_Pm": "texture_metallic.png", "map_Pr": "texture_roughness.png"}
_MAPS |= {"norm": "texture_normal.png"}


def complete(source: Path, target: Path) -> Path:
    """Copy an object folder and make its OBJ refer to a material with the folder's textures.

    Returns:
        path of ``base.obj`` in ``target``.

    Raises:
        InputError: no single OBJ in the source, or a target that holds files or lies inside the source.
    """
    existing_folder(source, "source folder")
    objs = sorted(path for path in source.iterdir() if path.suffix.lower() == ".obj")
    chosen = [path for path in objs if path.name == "base.obj"] or objs
    if len(chosen) != 1:
        raise InputError(f"The folder {source} must hold base.obj or one .obj file, it holds {len(objs)}.")
    if source.resolve() in (target.resolve(), *target.resolve().parents):
        raise InputError(f"--save_path {target} must be outside of the source folder, which is left as it is.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} already exists and is not empty; give another --save_path or remove it.")
    with atomic_directory(target) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        obj = folder / "base.obj"
        (folder / chosen[0].name).rename(obj)
        _complete_materials(obj)
    return target / "base.obj"


def _complete_materials(obj: Path) -> None:
    """Make the OBJ name a material library that is there and use a material of it; write base.mtl if there is none."""
    lines = obj.read_bytes().splitlines(keepends=True)
    used = list(dict.fromkeys(name for line in lines if (name := _argument(line, b"usemtl"))))
    named = [obj.parent / name for line in lines if (name := _argument(line, b"mtllib"))]
    library = next((path for path in named if path.is_file()), obj.with_suffix(".mtl"))
    if not library.is_file():
        maps = "".join(f"{keyword} {file}\n" for keyword, file in _MAPS.items() if (obj.parent / file).is_file())
        blocks = [f"newmtl {name}\nKa 1 1 1\nKd 1 1 1\n{maps}" for name in used or ["Material"]]
        library.write_text("\n".join(blocks))
    if not used:
        definitions = [_argument(line, b"newmtl") for line in library.read_bytes().splitlines()]
        first = next((name for name in definitions if name), "Material")
        lines.insert(0, f"usemtl {first}\n".encode())
    if library not in named:
        # A library that is named but not there would only be reported as missing by every program.
        lines = [b"mtllib base.mtl\n"] + [line for line in lines if not _argument(line, b"mtllib")]
    obj.write_bytes(b"".join(lines))


def _argument(line: bytes, keyword: bytes) -> str | None:
    words = line.strip().split(None, 1)
    return words[1].decode("utf-8", errors="replace") if len(words) == 2 and words[0] == keyword else None


def main(argv: list[str] | None = None) -> int:
    """Parse the documented flags and complete the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source_path", type=Path, required=True, help="folder with the downloaded object")
    parser.add_argument("--save_path", type=Path, required=True, help="folder to make")
    args = parser.parse_args(argv)
    print(f"completed object: {complete(args.source_path, args.save_path)}")
    return 0


if __name__ == "__main__":
    run_command(main)
