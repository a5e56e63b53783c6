// Draws a moving mesh with WebGL2. Positions of all frames lie on the graphics card; two of them are mixed.
"use strict";

const MESH_VERTEX = `#version 300 es
in vec3 from, to, normalFrom, normalTo, tint;
in vec2 uv;
uniform mat4 view, projection;
uniform vec3 low, extent;
uniform vec4 uvRange;
uniform float share;
out vec3 place, normal, color;
out vec2 texel;
void main() {
  place = low + extent * mix(from, to, share);
  normal = mix(normalFrom, normalTo, share);
  color = tint;
  texel = uvRange.xy + uvRange.zw * uv;
  gl_Position = projection * view * vec4(place, 1.0);
}`;

// The light stands beside the camera, a little above it, as in the run's own pictures.
const MESH_FRAGMENT = `#version 300 es
precision highp float;
in vec3 place, normal, color;
in vec2 texel;
uniform sampler2D image;
uniform vec4 plain;
uniform int source;  // 0 plain, 1 vertex colours, 2 image, 3 image times vertex colours
uniform float cutoff, lit;
uniform vec3 eye;
out vec4 pixel;
vec3 linear(vec3 v) { return mix(pow((v + 0.055) / 1.055, vec3(2.4)), v / 12.92, lessThanEqual(v, vec3(0.04045))); }
vec3 display(vec3 v) { return mix(1.055 * pow(v, vec3(1.0 / 2.4)) - 0.055, 12.92 * v, lessThanEqual(v, vec3(0.0031308))); }
void main() {
  vec4 base = source >= 2 ? texture(image, texel) : source == 1 ? vec4(color, 1.0) : plain;
  if (source == 3) base.rgb = display(linear(base.rgb) * linear(color));
  if (base.a < cutoff) discard;
  vec3 n = normalize(normal + vec3(1e-9));
  float facing = dot(n, normalize(eye - place));
  float side = facing >= 0.0 ? 1.0 : -1.0;
  float light = 0.5 + 0.5 * (side * facing + 0.6 * side * n.z) / sqrt(1.36);
  pixel = vec4(base.rgb * mix(1.0, 0.52 + 0.53 * max(light, 0.0), lit), cutoff > 0.0 && cutoff < 0.04 ? base.a : 1.0);
}`;

// Unit normals of every point in every frame, area-weighted, as int8 [F, P, 4].
function pointNormals(points, frames, count, corners, triangles, extent) {
  const normals = new Int8Array(frames * count * 4), sums = new Float32Array(count * 3);
  for (let f = 0; f < frames; f++) {
    sums.fill(0);
    const at = f * count * 3;
    for (let t = 0; t < triangles.length; t += 3) {
      const ids = [corners[triangles[t]] * 3, corners[triangles[t + 1]] * 3, corners[triangles[t + 2]] * 3];
      const [a, b, c] = ids.map((i) => i + at);
      const u = [0, 1, 2].map((k) => (points[b + k] - points[a + k]) * extent[k]);
      const v = [0, 1, 2].map((k) => (points[c + k] - points[a + k]) * extent[k]);
      const cross = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const i of ids) for (let k = 0; k < 3; k++) sums[i + k] += cross[k];
    }
    for (let i = 0; i < count; i++) {
      const [x, y, z] = sums.subarray(3 * i, 3 * i + 3), length = Math.hypot(x, y, z) || 1;
      normals.set([127 * x / length, 127 * y / length, 127 * z / length], (f * count + i) * 4);
    }
  }
  return normals;
}

function meshDrawing(gl, about, arrays, images) {
  const { points, corners, uvs, colors, triangles } = arrays;
  const frames = about.stored, count = points.length / (3 * frames), rows = corners.length;
  const normals = pointNormals(points, frames, count, corners, triangles, about.extent);
  const places = new Uint16Array(frames * rows * 4), turns = new Int8Array(frames * rows * 4);
  for (let f = 0; f < frames; f++) {
    for (let r = 0; r < rows; r++) {
      const from = f * count + corners[r], to = (f * rows + r) * 4;
      for (let k = 0; k < 3; k++) {
        places[to + k] = points[3 * from + k];
        turns[to + k] = normals[4 * from + k];
      }
    }
  }
  const program = linked(gl, MESH_VERTEX, MESH_FRAGMENT), uniform = uniforms(gl, program);
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  const bind = (name, data, size, type, normalized) => {
    const buffer = filled(gl, gl.ARRAY_BUFFER, data), where = gl.getAttribLocation(program, name);
    if (where >= 0) {
      gl.enableVertexAttribArray(where);
      gl.vertexAttribPointer(where, size, type, normalized, 0, 0);
    }
    return buffer;
  };
  bind("uv", uvs, 2, gl.UNSIGNED_SHORT, false);
  if (colors) bind("tint", colors, 3, gl.UNSIGNED_BYTE, true);
  const placeBuffer = filled(gl, gl.ARRAY_BUFFER, places), turnBuffer = filled(gl, gl.ARRAY_BUFFER, turns);
  const where = ["from", "to", "normalFrom", "normalTo"].map((name) => gl.getAttribLocation(program, name));
  where.forEach((at) => gl.enableVertexAttribArray(at));
  filled(gl, gl.ELEMENT_ARRAY_BUFFER, triangles);
  const pictures = Object.fromEntries(Object.keys(images).map((key) => [key, {}]));
  const wraps = { repeat: gl.REPEAT, clamp: gl.CLAMP_TO_EDGE, mirror: gl.MIRRORED_REPEAT };

  return (from, to, share, camera) => {
    gl.useProgram(program);
    gl.bindVertexArray(array);
    gl.bindBuffer(gl.ARRAY_BUFFER, placeBuffer);
    [from, to].forEach((f, k) => gl.vertexAttribPointer(where[k], 3, gl.UNSIGNED_SHORT, false, 8, f * rows * 8));
    gl.bindBuffer(gl.ARRAY_BUFFER, turnBuffer);
    [from, to].forEach((f, k) => gl.vertexAttribPointer(where[k + 2], 3, gl.BYTE, true, 4, f * rows * 4));
    gl.uniformMatrix4fv(uniform.view, false, camera.view);
    gl.uniformMatrix4fv(uniform.projection, false, camera.projection);
    gl.uniform3fv(uniform.low, about.low);
    gl.uniform3fv(uniform.extent, about.extent.map((size) => size / LEVELS));
    gl.uniform4fv(uniform.uvRange, [...about.uvLow, ...about.uvExtent.map((size) => size / LEVELS)]);
    gl.uniform1f(uniform.share, share);
    gl.uniform1f(uniform.lit, camera.lit ? 1 : 0);
    gl.uniform3fv(uniform.eye, camera.eye);
    gl.enable(gl.DEPTH_TEST);
    for (const draw of about.draws) {
      const blend = draw.alpha === "blend";
      blend ? gl.enable(gl.BLEND) : gl.disable(gl.BLEND);
      gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
      gl.uniform1f(uniform.cutoff, blend ? 0.02 : draw.alpha === "mask" ? Math.max(draw.cutoff, 0.05) : 0);
      if ("texture" in draw) {
        const wrap = draw.wrap.join();
        const made = pictures[draw.texture];
        made[wrap] ??= textureOf(gl, images[draw.texture], draw.wrap.map((name) => wraps[name]));
        gl.bindTexture(gl.TEXTURE_2D, made[wrap]);
      }
      gl.uniform4fv(uniform.plain, draw.color ?? [1, 1, 1, 1]);
      gl.uniform1i(uniform.source, "texture" in draw ? (draw.tinted ? 3 : 2) : draw.color ? 0 : 1);
      gl.drawElements(gl.TRIANGLES, 3 * draw.count, gl.UNSIGNED_INT, 12 * draw.first);
    }
  };
}

function textureOf(gl, image, [across, up]) {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, true);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
  gl.generateMipmap(gl.TEXTURE_2D);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, across);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, up);
  return texture;
}
