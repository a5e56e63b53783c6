"""Files that people put into a workspace: bounded, under plain names, inside its folder."""

from __future__ import annotations

from pathlib import Path

from animate3d.errors import InputError
from animate3d.files import atomic_file, portable_name

MODELS = (".obj", ".glb", ".gltf", ".ply", ".stl", ".off", ".fbx", ".splat", ".spz")
VIDEOS = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".gif")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")


def keep_upload(folder: Path, name: str, content: bytes, kinds: tuple[str, ...], limit: int) -> Path:
    """Put an uploaded file into a folder.

    Args:
        folder: gets the file; made if needed.
        name: as the browser says it; only its last part counts, in plain letters.
        kinds: suffixes that are taken.
        limit: bytes.

    Returns:
        The file, under a name that no other file had.

    Raises:
        InputError: too large, empty, or of another kind.
    """
    check_size(name, len(content), limit)
    last = name.replace("\\", "/").rpartition("/")[2]
    stem, dot, end = last.rpartition(".")
    suffix = f"{dot}{end}".lower()
    if suffix in _ARCHIVES:
        raise InputError(f"{last[:80]!r} is an archive, which is not unpacked: upload the file that is in it.")
    if not stem or suffix not in kinds:
        raise InputError(f"{last[:80]!r} is none of the kinds that are taken here: {' '.join(kinds)}.")
    if not content:
        raise InputError(f"{last[:80]!r} is empty.")
    clean = portable_name(stem, "model")
    path, number = folder / f"{clean}{suffix}", 1
    while path.exists():
        number += 1
        path = folder / f"{clean}_{number}{suffix}"
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
    return path


def check_size(name: str, size: int, limit: int) -> None:
    """Refuse what is larger than the limit, in bytes."""
    if size > limit:
        raise InputError(
            f"{name[:80]!r} has {size / 1e6:,.0f} MB; uploads are limited to {limit / 1e6:,.0f} MB (--upload-limit)."
        )
