"""Textured triangle meshes to images: a z-buffer rasteriser for previews and for ground-truth frames.

Every image is drawn by one thread: triangles go into a supersampled z-buffer that keeps the nearest triangle and its
perspective-correct barycentrics; visible samples are then coloured once and averaged to pixels. Coverage becomes
alpha, and the colour of a pixel is the mean over its covered samples only (straight alpha).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.errors import InputError
from animate3d.rasterize.threads import run_parts

if TYPE_CHECKING:
    from animate3d.meshes import Mesh

_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy")

BASE_COLOR, VERTEX_COLOR, TEXTURE, TINTED_TEXTURE = 0, 1, 2, 3
_WRAPS = {"repeat": 0, "clamp": 1, "mirror": 2}
# The light stands beside the camera, raised by this share of the view direction's length.
_LIGHT_RAISE = 0.6
_AMBIENT, _DIFFUSE = 0.52, 0.53
# Samples on a shared edge belong to both triangles, so that rounding cannot open a crack between them.
_EDGE = -1e-9


class _Textures(NamedTuple):
    """The mip pyramids of all materials in one buffer (numba wants flat arrays)."""

    texels: NDArray[np.uint8]  # [K] rgb interleaved
    offsets: NDArray[np.int64]  # [M, L] first byte of a level
    sizes: NDArray[np.int64]  # [M, L, 2] height, width
    levels: NDArray[np.int64]  # [M] number of levels, 0 without a texture
    wraps: NDArray[np.int64]  # [M, 2] along u and v: 0 repeat, 1 clamp, 2 mirror


def render_mesh(
    mesh: Mesh,
    positions: NDArray[np.floating],
    cameras: Cameras,
    *,
    background: tuple[float, float, float] = (0.5, 0.5, 0.5),
    supersample: int = 2,
    shading: bool = True,
) -> NDArray[np.uint8]:
    """Draw a moving mesh from every camera.

    A face shows its material's diffuse texture (outside the unit square as the material says) times the vertex colours
    where it has them, without a texture these alone, without either the material's base colour. Both sides of a face
    are drawn. Triangles that reach in front of the near plane are left out.

    Args:
        mesh: gives faces, UVs, materials and colours; its own vertex positions are not used.
        positions: ``[F, N, 3]`` vertices in world coordinates.
        cameras: ``[V]``.
        background: rgb 0..1 under transparent pixels.
        supersample: samples per pixel along each axis.
        shading: light the surface softly from the camera; off gives the bare colours.

    Returns:
        uint8 ``[V, F, H, W, 4]``, straight alpha.

    Raises:
        InputError: the positions are not ``[F, N, 3]`` for this mesh.
    """
    positions = np.ascontiguousarray(positions, dtype=np.float64)
    n_vertices = len(mesh.vertices)
    if positions.ndim != 3 or positions.shape[1:] != (n_vertices, 3):
        raise InputError(f"`positions` has shape {positions.shape}; a mesh of {n_vertices} vertices needs [F, N, 3].")
    if supersample < 1:
        raise InputError(f"`supersample` is {supersample}; it must be at least 1.")
    look = look_of(mesh)
    normals = np.zeros((len(positions), 0, 3))
    if shading:
        normals = _vertex_normals(positions, np.ascontiguousarray(mesh.welded(), dtype=np.int64), look.triangles)
    n_views, n_frames = len(cameras.fovy), len(positions)
    images = np.empty((n_views * n_frames, cameras.height, cameras.width, 4), dtype=np.uint8)
    run_parts(
        _draw,
        len(images),
        images,
        positions,
        normals,
        *look,
        *_pack_textures(mesh),
        cameras.viewmats.double().cpu().numpy(),
        cameras.positions.double().cpu().numpy(),
        cameras.focal.double().cpu().numpy(),
        float(cameras.near),
        supersample,
        np.asarray(background, dtype=np.float64),
    )
    return images.reshape(n_views, n_frames, cameras.height, cameras.width, 4)


class Look(NamedTuple):
    """Triangles and where each takes its colour from (`BASE_COLOR`, `VERTEX_COLOR`, `TEXTURE` or, for a texture times
    vertex colours, `TINTED_TEXTURE`), in the order of `_draw`'s arguments."""

    triangles: NDArray[np.int64]  # [T, 3]
    uvs: NDArray[np.float64]  # [T, 3, 2], NaN without
    source: NDArray[np.int64]  # [T]
    materials: NDArray[np.int64]  # [T]
    vertex_colors: NDArray[np.float64]  # [N, 3], white where a vertex has none; or none
    base_colors: NDArray[np.float64]  # [M, 3]


def look_of(mesh: Mesh) -> Look:
    """What every triangle of a mesh shows, as `render_mesh` draws it."""
    triangles, corners, faces = (np.ascontiguousarray(a, dtype=np.int64) for a in mesh.triangles())
    materials = np.ascontiguousarray(mesh.face_materials[faces], dtype=np.int64)
    uvs = np.full((len(triangles), 3, 2), np.nan)
    if mesh.corner_uvs is not None:
        uvs = mesh.corner_uvs[corners].astype(np.float64)
    textured = mesh.textured_corners()[corners].all(axis=1)
    source = np.where(textured, TEXTURE, BASE_COLOR)
    vertex_colors = np.zeros((0, 3))
    if mesh.vertex_colors is not None and mesh.has_vertex_colors:
        vertex_colors = np.nan_to_num(mesh.vertex_colors.astype(np.float64), nan=1.0)
        colored = mesh.colored_faces()[faces]
        tinted = (vertex_colors != 1).any(axis=1)[triangles].any(axis=1)
        source[colored & ~textured] = VERTEX_COLOR
        source[colored & textured & tinted] = TINTED_TEXTURE
    base_colors = np.array([m.base_color[:3] for m in mesh.materials], dtype=np.float64).reshape(-1, 3)
    return Look(triangles, uvs, source, materials, vertex_colors, base_colors)


def _pack_textures(mesh: Mesh) -> _Textures:
    pyramids = [_mip_pyramid(m.textures["diffuse"]) if "diffuse" in m.textures else [] for m in mesh.materials]
    depth = max([len(p) for p in pyramids], default=0)
    offsets = np.zeros((len(pyramids), depth), dtype=np.int64)
    sizes = np.zeros((len(pyramids), depth, 2), dtype=np.int64)
    buffers, end = [np.zeros(0, dtype=np.uint8)], 0
    for m, pyramid in enumerate(pyramids):
        for level, image in enumerate(pyramid):
            offsets[m, level], sizes[m, level] = end, image.shape[:2]
            buffers.append(image.reshape(-1))
            end += image.size
    levels = np.array([len(p) for p in pyramids], dtype=np.int64)
    codes = [[_WRAPS[wrap] for wrap in m.wraps.get("diffuse", ("repeat", "repeat"))] for m in mesh.materials]
    return _Textures(np.concatenate(buffers), offsets, sizes, levels, np.array(codes, dtype=np.int64).reshape(-1, 2))


def _mip_pyramid(texture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Rgb images, each half the size of the one before (the last row or column of an odd size is repeated)."""
    image = texture if texture.ndim == 3 else texture[..., None]
    image = np.repeat(image, 3, axis=2) if image.shape[2] < 3 else image[..., :3]
    pyramid = [np.ascontiguousarray(image)]
    while max(image.shape[:2]) > 8:
        image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), mode="edge")
        quads = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, 3)
        image = (quads.astype(np.float32).mean(axis=(1, 3)) + 0.5).astype(np.uint8)
        pyramid.append(np.ascontiguousarray(image))
    return pyramid


@_jit
def _vertex_normals(positions, representative, triangles):  # type: ignore[no-untyped-def]
    """Area-weighted unit normals; coincident vertices share one, so that UV seams do not show. ``[F, N, 3]``"""
    normals = np.zeros_like(positions)
    n_frames, n_vertices, _ = positions.shape
    for f in range(n_frames):
        for t in range(len(triangles)):
            a, b, c = positions[f, triangles[t, 0]], positions[f, triangles[t, 1]], positions[f, triangles[t, 2]]
            ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
            wx, wy, wz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
            nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
            for k in range(3):
                vertex = representative[triangles[t, k]]
                normals[f, vertex, 0] += nx
                normals[f, vertex, 1] += ny
                normals[f, vertex, 2] += nz
        for i in range(n_vertices):
            n = normals[f, i]
            length = np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2])
            if length > 0.0:
                for k in range(3):
                    n[k] /= length
        for i in range(n_vertices):
            for k in range(3):
                normals[f, i, k] = normals[f, representative[i], k]
    return normals


@_jit
def _draw(  # type: ignore[no-untyped-def]
    part,
    parts,
    images,
    positions,
    normals,
    triangles,
    uvs,
    source,
    materials,
    vertex_colors,
    base_colors,
    texels,
    offsets,
    sizes,
    levels,
    wraps,
    viewmats,
    eyes,
    focals,
    near,
    supersample,
    background,
):
    """Images ``part, part + parts, …`` of all, view by view: uint8 ``[V * F, H, W, 4]``."""
    n_frames = len(positions)
    _, height, width, _ = images.shape
    winner = np.empty((height * supersample, width * supersample), dtype=np.int32)
    barycentrics = np.empty((height * supersample, width * supersample, 2), dtype=np.float32)
    nearest = np.empty((height * supersample, width * supersample))
    mips = np.zeros(len(triangles), dtype=np.int64)
    for index in range(part, len(images), parts):
        v, f = index // n_frames, index % n_frames
        winner[:], nearest[:] = -1, 0.0
        _visible(
            positions[f],
            triangles,
            uvs,
            source,
            materials,
            sizes,
            levels,
            viewmats[v],
            focals[v] * supersample,
            near,
            nearest,
            winner,
            barycentrics,
            mips,
        )
        color = np.empty(3)
        for y in range(height):
            for x in range(width):
                total_r, total_g, total_b, covered = 0.0, 0.0, 0.0, 0
                for sy in range(y * supersample, (y + 1) * supersample):
                    for sx in range(x * supersample, (x + 1) * supersample):
                        t = winner[sy, sx]
                        if t < 0:
                            continue
                        w1, w2 = barycentrics[sy, sx, 0], barycentrics[sy, sx, 1]
                        w0 = 1.0 - w1 - w2
                        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                        m = materials[t]
                        if source[t] >= TEXTURE:
                            u = w0 * uvs[t, 0, 0] + w1 * uvs[t, 1, 0] + w2 * uvs[t, 2, 0]
                            w = w0 * uvs[t, 0, 1] + w1 * uvs[t, 1, 1] + w2 * uvs[t, 2, 1]
                            level = mips[t]
                            size = sizes[m, level]
                            _sample(texels, offsets[m, level], size[0], size[1], wraps[m], u, w, color)
                            if source[t] == TINTED_TEXTURE:
                                _tint(color, vertex_colors[a], vertex_colors[b], vertex_colors[c], w0, w1, w2)
                        elif source[t] == VERTEX_COLOR:
                            for k in range(3):
                                color[k] = (
                                    w0 * vertex_colors[a, k] + w1 * vertex_colors[b, k] + w2 * vertex_colors[c, k]
                                )
                        else:
                            for k in range(3):
                                color[k] = base_colors[m, k]
                        light = 1.0
                        if normals.shape[1] > 0:
                            light = _headlight(positions[f], normals[f], a, b, c, w0, w1, w2, eyes[v])
                        total_r += min(max(color[0] * light, 0.0), 1.0)
                        total_g += min(max(color[1] * light, 0.0), 1.0)
                        total_b += min(max(color[2] * light, 0.0), 1.0)
                        covered += 1
                pixel = images[index, y, x]
                if covered == 0:
                    for k in range(3):
                        pixel[k] = np.uint8(background[k] * 255.0 + 0.5)
                    pixel[3] = 0
                else:
                    pixel[0] = np.uint8(total_r / covered * 255.0 + 0.5)
                    pixel[1] = np.uint8(total_g / covered * 255.0 + 0.5)
                    pixel[2] = np.uint8(total_b / covered * 255.0 + 0.5)
                    pixel[3] = np.uint8(covered * 255.0 / (supersample * supersample) + 0.5)


@_jit
def _visible(  # type: ignore[no-untyped-def]
    points, triangles, uvs, source, materials, sizes, levels, viewmat, focal, near, nearest, winner, barycentrics, mips
):
    """Find the nearest triangle of every sample.

    Args:
        nearest: 1/z of what is drawn already ``[H, W]``, 0 for nothing; becomes that of the triangles in front of it.
        winner: becomes the triangle's index ``[H, W]`` where there is one in front.
        barycentrics: become the perspective-correct ones of corners 1 and 2 ``[H, W, 2]`` there.
        mips: become the mip levels of the triangles in view that show a texture ``[T]``.
    """
    height, width = winner.shape
    n_vertices = len(points)
    screen = np.empty((n_vertices, 3))  # x, y in samples, 1/z (0 in front of the near plane)
    for i in range(n_vertices):
        p = points[i]
        x = viewmat[0, 0] * p[0] + viewmat[0, 1] * p[1] + viewmat[0, 2] * p[2] + viewmat[0, 3]
        y = viewmat[1, 0] * p[0] + viewmat[1, 1] * p[1] + viewmat[1, 2] * p[2] + viewmat[1, 3]
        z = viewmat[2, 0] * p[0] + viewmat[2, 1] * p[1] + viewmat[2, 2] * p[2] + viewmat[2, 3]
        inverse = 1.0 / z if z > near else 0.0
        screen[i, 0] = focal * x * inverse + 0.5 * width
        screen[i, 1] = focal * y * inverse + 0.5 * height
        screen[i, 2] = inverse
    for t in range(len(triangles)):
        a, b, c = screen[triangles[t, 0]], screen[triangles[t, 1]], screen[triangles[t, 2]]
        if a[2] == 0.0 or b[2] == 0.0 or c[2] == 0.0:
            continue
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if not abs(area) > 1e-12:  # edge-on, or not a number
            continue
        # A sample lies at the centre of its cell, half a unit from the index.
        left = max(int(np.ceil(min(a[0], b[0], c[0]) - 0.5)), 0)
        right = min(int(np.floor(max(a[0], b[0], c[0]) - 0.5)), width - 1)
        top = max(int(np.ceil(min(a[1], b[1], c[1]) - 0.5)), 0)
        bottom = min(int(np.floor(max(a[1], b[1], c[1]) - 0.5)), height - 1)
        if left > right or top > bottom:
            continue
        if source[t] >= TEXTURE:
            mips[t] = _mip_level(uvs[t], sizes[materials[t], 0], levels[materials[t]], abs(area))
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                w1 = ((px - a[0]) * (c[1] - a[1]) - (py - a[1]) * (c[0] - a[0])) / area
                w2 = ((b[0] - a[0]) * (py - a[1]) - (b[1] - a[1]) * (px - a[0])) / area
                w0 = 1.0 - w1 - w2
                if w0 < _EDGE or w1 < _EDGE or w2 < _EDGE:
                    continue
                inverse = w0 * a[2] + w1 * b[2] + w2 * c[2]
                if inverse > nearest[y, x]:
                    nearest[y, x] = inverse
                    winner[y, x] = t
                    barycentrics[y, x, 0] = w1 * b[2] / inverse
                    barycentrics[y, x, 1] = w2 * c[2] / inverse


@_jit
def _mip_level(uv, size, n_levels, sample_area):  # type: ignore[no-untyped-def]
    """The level whose texels are about as large as a sample (both areas are twice a triangle's)."""
    area = (uv[1, 0] - uv[0, 0]) * (uv[2, 1] - uv[0, 1]) - (uv[1, 1] - uv[0, 1]) * (uv[2, 0] - uv[0, 0])
    ratio = abs(area) * size[0] * size[1] / sample_area
    level = int(0.5 * np.log2(ratio) + 0.25) if ratio > 1.0 else 0
    return min(level, n_levels - 1)


@_jit
def _texels(coordinate, count, wrap):  # type: ignore[no-untyped-def]
    """The two texels beside a texture coordinate (0 at the first texel's edge), and the second one's weight."""
    if wrap == 1:
        coordinate = min(max(coordinate, 0.0), 1.0)
    elif wrap == 2:
        coordinate = 1.0 - abs(coordinate - 2.0 * np.floor(coordinate / 2.0) - 1.0)
    else:
        coordinate -= np.floor(coordinate)
    x = coordinate * count - 0.5
    first = int(np.floor(x))
    if wrap == 0:
        return first % count, (first + 1) % count, x - first
    return max(first, 0), min(first + 1, count - 1), x - first


@_jit
def _sample(texels, offset, height, width, wraps, u, v, color):  # type: ignore[no-untyped-def]
    """Bilinear; v points up while rows go down. Writes rgb 0..1 into ``color``."""
    left, right, fx = _texels(u, width, wraps[0])
    bottom, top, fy = _texels(v, height, wraps[1])
    top, bottom, fy = height - 1 - top, height - 1 - bottom, 1.0 - fy
    for k in range(3):
        upper = (1.0 - fx) * texels[offset + 3 * (top * width + left) + k]
        upper += fx * texels[offset + 3 * (top * width + right) + k]
        lower = (1.0 - fx) * texels[offset + 3 * (bottom * width + left) + k]
        lower += fx * texels[offset + 3 * (bottom * width + right) + k]
        color[k] = ((1.0 - fy) * upper + fy * lower) / 255.0


@_jit
def _tint(color, first, second, third, w0, w1, w2):  # type: ignore[no-untyped-def]
    """Multiply a display colour by that of three vertices, in linear light."""
    for k in range(3):
        light = _linear(color[k]) * _linear(w0 * first[k] + w1 * second[k] + w2 * third[k])
        color[k] = 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1.0 / 2.4) - 0.055


@_jit
def _linear(value):  # type: ignore[no-untyped-def]
    value = min(max(value, 0.0), 1.0)
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


@_jit
def _headlight(points, normals, a, b, c, w0, w1, w2, eye):  # type: ignore[no-untyped-def]
    """Brightness of a point: a wrapped diffuse light at the camera, raised a little so that forms read."""
    to_eye, normal = np.empty(3), np.empty(3)
    for k in range(3):
        to_eye[k] = eye[k] - (w0 * points[a, k] + w1 * points[b, k] + w2 * points[c, k])
        normal[k] = w0 * normals[a, k] + w1 * normals[b, k] + w2 * normals[c, k]
    distance = np.sqrt(to_eye[0] ** 2 + to_eye[1] ** 2 + to_eye[2] ** 2)
    length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
    if not (length > 1e-12 and distance > 1e-12):
        return _AMBIENT
    facing = (normal[0] * to_eye[0] + normal[1] * to_eye[1] + normal[2] * to_eye[2]) / (length * distance)
    side = 1.0 if facing >= 0.0 else -1.0
    raised = side * normal[2] / length
    lit = (side * facing + _LIGHT_RAISE * raised) / np.sqrt(1.0 + _LIGHT_RAISE**2)
    wrapped = max(0.5 + 0.5 * lit, 0.0)
    return _AMBIENT + _DIFFUSE * wrapped
