"""A moving mesh as the page's script draws it: quantised points, corners, draw calls, textures."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import torch
from PIL import Image

from animate3d.export.transparency import alpha_mode
from animate3d.gaussians.merge import cells
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.topology import joined
from animate3d.rasterize.textured import BASE_COLOR, TEXTURE, TINTED_TEXTURE, VERTEX_COLOR, Look, look_of
from animate3d.viewer.packing import Block, quantized

_JPEG_QUALITY = 88


def mesh_block(mesh: Mesh, look: Look, positions: np.ndarray) -> tuple[dict[str, Any], bytes]:
    """What a page holds of a moving mesh besides its textures.

    Args:
        mesh: gives the materials.
        look: its triangles, as `look_of` or `reduced` has them.
        positions: ``[F, N, 3]`` placed.

    Returns:
        header: bounds, draw calls and the list of the arrays; and the block of the arrays. ``points`` ``[F, P, 3]`` are
        the paths that differ, ``corners`` ``[R]`` the point of everything that is drawn, ``triangles`` refers to these.
    """
    steps, low, extent = quantized(positions)
    paths = np.ascontiguousarray(steps.transpose(1, 0, 2)).reshape(steps.shape[1], -1)
    # Copies of a vertex along a seam have one path: it is stored once, and they share a normal.
    unique, point_of = np.unique(paths.view(np.dtype((np.void, paths.strides[0]))), return_inverse=True)
    points = unique.view(np.uint16).reshape(len(unique), len(steps), 3).transpose(1, 0, 2)

    order = np.lexsort((look.materials, look.source))
    triangles, source = look.triangles[order], look.source[order]
    textured = (source >= TEXTURE)[:, None, None]
    colored = bool(np.isin(source, (VERTEX_COLOR, TINTED_TEXTURE)).any())
    uvs, uv_low, uv_extent = quantized(np.where(textured, np.nan_to_num(look.uvs[order]), 0.0))
    rows = [point_of.reshape(-1)[triangles.reshape(-1), None], uvs.reshape(-1, 2)]
    if colored:
        rows.append(np.round(255 * look.vertex_colors[triangles.reshape(-1)].clip(0, 1)))
    table = np.ascontiguousarray(np.concatenate(rows, axis=1).astype(np.uint32))
    kinds, index = np.unique(table.view(np.dtype((np.void, table.strides[0]))), return_inverse=True)
    kept = kinds.view(np.uint32).reshape(len(kinds), -1)

    block = Block()
    block.add("points", points, step=True)
    block.add("corners", kept[:, 0].astype(np.uint32), step=True)
    block.add("uvs", kept[:, 1:3].astype(np.uint16))
    if colored:
        block.add("colors", kept[:, 3:].astype(np.uint8))
    block.add("triangles", index.reshape(-1).astype(np.uint32), step=True)
    arrays, content = block.packed()
    header = {
        "kind": "mesh",
        "low": low,
        "extent": extent,
        "uvLow": uv_low,
        "uvExtent": uv_extent,
        "draws": _draws(mesh, source, look.materials[order]),
        "arrays": arrays,
    }
    return header, content


def _draws(mesh: Mesh, source: np.ndarray, materials: np.ndarray) -> list[dict[str, Any]]:
    """Runs of triangles that look alike: how many, and what they show; what is blended comes last."""
    keys = np.stack([source, np.where(source == VERTEX_COLOR, -1, materials)], axis=1)
    starts = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)])
    draws = []
    for start, end in zip(starts, [*starts[1:], len(keys)], strict=True):
        kind, index = (int(value) for value in keys[start])
        mode, cutoff = ("opaque", 0.5) if kind == VERTEX_COLOR else alpha_mode(mesh, index)
        draw: dict[str, Any] = {"first": int(start), "count": int(end - start), "alpha": mode, "cutoff": cutoff}
        if kind in (TEXTURE, TINTED_TEXTURE):
            material = mesh.materials[index]
            draw |= {"texture": index, "wrap": list(material.wraps.get("diffuse", ("repeat", "repeat")))}
            if kind == TINTED_TEXTURE:
                draw["tinted"] = True
        elif kind == BASE_COLOR:
            draw["color"] = [float(value) for value in mesh.materials[index].base_color]
        draws.append(draw)
    return sorted(draws, key=lambda draw: draw["alpha"] == "blend")


def textures(mesh: Mesh, look: Look, side: int) -> dict[int, str]:
    """The textures that are seen as data URIs, at most ``side`` pixels along: JPEG, PNG where they are transparent."""
    seen = np.unique(look.materials[look.source >= TEXTURE])
    return {int(index): image_uri(mesh.materials[index].textures["diffuse"], side) for index in seen}


def image_uri(pixels: np.ndarray, side: int = 1 << 14, quality: int = _JPEG_QUALITY) -> str:
    """An image uint8 ``[H, W, 1 | 3 | 4]`` as a data URI."""
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))
    image.thumbnail((side, side), Image.Resampling.BOX)
    transparent = image.mode == "RGBA" and bool((np.asarray(image)[..., 3] < 255).any())
    buffer = io.BytesIO()
    if transparent:
        image.save(buffer, "PNG")
    else:
        image.convert("RGB").save(buffer, "JPEG", quality=quality, subsampling=0)
    return f"data:image/{'png' if transparent else 'jpeg'};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def reduced(look: Look, positions: np.ndarray, count: int) -> tuple[Look, np.ndarray]:
    """About ``count`` vertices in place of more: those in a cell of a grid become one.

    Pieces of the texture that meet along a seam keep their own texture coordinates.

    Returns:
        the triangles that are left, and the positions ``[F, n, 3]`` of the vertices, each the mean of its cell.
    """
    owner = cells(torch.from_numpy(np.ascontiguousarray(positions[0])), count)[0].numpy()
    sizes = np.bincount(owner).astype(np.float64)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(owner, weights=column) for column in values.T], axis=1) / sizes[:, None]

    triangles = owner[look.triangles]
    a, b, c = triangles.T
    kept = (a != b) & (b != c) & (c != a)
    charts = _charts(look)[kept]
    uvs = look.uvs[kept].reshape(-1, 2)
    keys = np.stack([triangles[kept].reshape(-1), np.repeat(charts, 3)], axis=1)
    _, first, index = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    colors = mean(look.vertex_colors) if len(look.vertex_colors) else look.vertex_colors
    shared = uvs[first][index.reshape(-1)].reshape(-1, 3, 2)
    moved = np.stack([mean(frame.astype(np.float64)) for frame in positions])
    return Look(triangles[kept], shared, look.source[kept], look.materials[kept], colors, look.base_colors), moved


def _charts(look: Look) -> np.ndarray:
    """Connected piece of the texture that every triangle lies in ``[T]``; numbers mean nothing else."""
    keys = np.concatenate(
        [look.triangles.reshape(-1, 1), np.round(np.nan_to_num(look.uvs.reshape(-1, 2)) * 65536)], axis=1
    )
    _, corners = np.unique(keys, axis=0, return_inverse=True)
    corners = corners.reshape(-1, 3)
    return joined(corners[:, [0, 1, 1, 2]].reshape(-1, 2), int(corners.max()) + 1)[corners[:, 0]]


def look_and_positions(mesh: Mesh, positions: np.ndarray) -> tuple[Look, np.ndarray]:
    """What `mesh_block` is given, without the vertices that no triangle uses."""
    look = look_of(mesh)
    used, triangles = np.unique(look.triangles, return_inverse=True)
    colors = look.vertex_colors[used] if len(look.vertex_colors) else look.vertex_colors
    return look._replace(triangles=triangles.reshape(-1, 3), vertex_colors=colors), positions[:, used]
