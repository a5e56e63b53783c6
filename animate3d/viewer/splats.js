// Draws moving Gaussians with WebGL2: each is an ellipse that fades outwards, from the farthest to the nearest.
"use strict";

const SPLAT_VERTEX = `#version 300 es
in vec2 corner;
in vec3 center, size;
in vec4 turn, tint;  // turn is w x y z
uniform mat4 view, projection;
uniform float focal;  // in pixels
uniform vec2 pixels;
out vec2 offset;
out vec4 color;
void main() {
  vec4 q = normalize(turn);
  float w = q.x, x = q.y, y = q.z, z = q.w;
  mat3 axes = mat3(
    1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y),
    2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x),
    2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y));
  mat3 seen = mat3(view) * axes * mat3(size.x, 0, 0, 0, size.y, 0, 0, 0, size.z);
  vec4 place = view * vec4(center, 1.0);
  float depth = -place.z;
  // How a small step in view space moves the picture, in pixels.
  vec3 across = vec3(focal / depth, 0.0, focal * place.x / (depth * depth));
  vec3 up = vec3(0.0, focal / depth, focal * place.y / (depth * depth));
  vec3 a = across * seen, b = up * seen;
  float xx = dot(a, a) + 0.3, xy = dot(a, b), yy = dot(b, b) + 0.3;
  float middle = 0.5 * (xx + yy), apart = length(vec2(0.5 * (xx - yy), xy));
  float longest = sqrt(middle + apart), shortest = sqrt(max(middle - apart, 0.1));
  vec2 direction = abs(xy) > 1e-6 ? normalize(vec2(xy, middle + apart - xx)) : xx >= yy ? vec2(1, 0) : vec2(0, 1);
  offset = corner * 3.0;
  vec2 moved = offset.x * longest * direction + offset.y * shortest * vec2(-direction.y, direction.x);
  gl_Position = projection * place;
  gl_Position.xy += 2.0 * moved / pixels * gl_Position.w;
  if (depth < 0.1) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  color = tint;
}`;

const SPLAT_FRAGMENT = `#version 300 es
precision highp float;
in vec2 offset;
in vec4 color;
out vec4 pixel;
void main() {
  float alpha = min(color.a * exp(-0.5 * dot(offset, offset)), 0.99);
  if (alpha < 1.0 / 255.0) discard;
  pixel = vec4(color.rgb * alpha, alpha);
}`;

const ROW = 14;  // floats of an instance: centre 3, rotation 4, size 3, colour 4

function splatDrawing(gl, about, arrays) {
  const { means, quats, scales, colors } = arrays;
  const frames = about.stored, count = means.length / (3 * frames);
  const sized = scales.length / (3 * count) > 1;
  const program = linked(gl, SPLAT_VERTEX, SPLAT_FRAGMENT), uniform = uniforms(gl, program);
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  filled(gl, gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]));
  const corner = gl.getAttribLocation(program, "corner");
  gl.enableVertexAttribArray(corner);
  gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
  const rows = new Float32Array(count * ROW), sorted = new Float32Array(count * ROW);
  const buffer = filled(gl, gl.ARRAY_BUFFER, sorted, gl.DYNAMIC_DRAW);
  for (const [name, size, first] of [["center", 3, 0], ["turn", 4, 3], ["size", 3, 7], ["tint", 4, 10]]) {
    const where = gl.getAttribLocation(program, name);
    gl.enableVertexAttribArray(where);
    gl.vertexAttribPointer(where, size, gl.FLOAT, false, 4 * ROW, 4 * first);
    gl.vertexAttribDivisor(where, 1);
  }
  for (let i = 0; i < count; i++) for (let k = 0; k < 4; k++) rows[i * ROW + 10 + k] = colors[4 * i + k] / 255;

  const mixed = (data, at, from, to, size, share) =>
    data[from * size * count + at] * (1 - share) + data[to * size * count + at] * share;
  const pose = (from, to, share) => {
    for (let i = 0; i < count; i++) {
      const row = i * ROW;
      for (let k = 0; k < 3; k++) {
        rows[row + k] = about.low[k] + about.extent[k] / LEVELS * mixed(means, 3 * i + k, from, to, 3, share);
        const level = sized ? mixed(scales, 3 * i + k, from, to, 3, share) : scales[3 * i + k];
        rows[row + 7 + k] = Math.exp(about.scaleLow[k] + about.scaleExtent[k] / LEVELS * level);
      }
      for (let k = 0; k < 4; k++) rows[row + 3 + k] = mixed(quats, 4 * i + k, from, to, 4, share);
    }
  };
  const depths = new Float32Array(count), places = new Uint32Array(1 << 16);
  const sort = (view) => {  // by counting, over 65536 depths
    let near = -Infinity, far = Infinity;
    for (let i = 0; i < count; i++) {
      const row = i * ROW;
      depths[i] = view[2] * rows[row] + view[6] * rows[row + 1] + view[10] * rows[row + 2];
      near = Math.max(near, depths[i]);
      far = Math.min(far, depths[i]);
    }
    const scale = (places.length - 1) / Math.max(near - far, 1e-9);
    places.fill(0);
    for (let i = 0; i < count; i++) places[(depths[i] - far) * scale | 0]++;
    for (let d = 0, before = 0; d < places.length; d++) [places[d], before] = [before, before + places[d]];
    for (let i = 0; i < count; i++) {
      const to = places[(depths[i] - far) * scale | 0]++ * ROW;
      sorted.set(rows.subarray(i * ROW, (i + 1) * ROW), to);
    }
  };

  return (from, to, share, camera) => {
    pose(from, to, share);
    sort(camera.view);
    gl.useProgram(program);
    gl.bindVertexArray(array);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, sorted);
    gl.uniformMatrix4fv(uniform.view, false, camera.view);
    gl.uniformMatrix4fv(uniform.projection, false, camera.projection);
    gl.uniform1f(uniform.focal, camera.projection[5] * camera.height / 2);
    gl.uniform2f(uniform.pixels, camera.width, camera.height);
    gl.disable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, count);
  };
}
