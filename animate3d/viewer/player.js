// The page: reads its data, draws the model at a time from a camera, and lets people play, turn and look.
"use strict";

const LEVELS = 16383;  // steps of quantised coordinates
const FOV = 40, ELEVATION = 15, DISTANCE = 3;  // the cameras of the videos
const BACKGROUNDS = [[0.5, 0.5, 0.5], [0.07, 0.075, 0.08], [1, 1, 1]];
const element = (id) => document.getElementById(id);
const about = JSON.parse(element("about").textContent);

// Data

async function readArrays() {
  const text = atob(element("block").textContent);
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const types = { Uint8Array, Int8Array, Uint16Array, Uint32Array };
  const read = ({ type, shape, offset, step }) => {
    const length = shape.reduce((product, size) => product * size, 1), row = shape[0] ? length / shape[0] : 0;
    let values;
    if (type === "Uint16Array") {  // all low bytes, then all high bytes
      const raw = new Uint8Array(buffer, offset, 2 * length);
      values = new Uint16Array(length);
      for (let i = 0; i < length; i++) values[i] = raw[i] | raw[length + i] << 8;
    } else {
      values = new types[type](buffer.slice(offset, offset + length * types[type].BYTES_PER_ELEMENT));
    }
    if (step) {  // differences between rows, sign in the lowest bit
      const coded = type === "Int8Array" ? new Uint8Array(values.buffer) : values;
      for (let i = 0; i < length; i++) {
        values[i] = (coded[i] >>> 1 ^ -(coded[i] & 1)) + (i < row ? 0 : values[i - row]);
      }
    }
    return values;
  };
  return Object.fromEntries(Object.entries(about.arrays).map(([name, entry]) => [name, read(entry)]));
}

async function readImage(uri) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  return image;
}

async function readImages() {
  const entries = Object.entries(about.images).map(async ([key, uri]) => [key, await readImage(uri)]);
  return Object.fromEntries(await Promise.all(entries));
}

// WebGL

function linked(gl, ...sources) {
  const program = gl.createProgram();
  sources.forEach((source, k) => {
    const shader = gl.createShader(k ? gl.FRAGMENT_SHADER : gl.VERTEX_SHADER);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw Error(gl.getShaderInfoLog(shader));
  });
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw Error(gl.getProgramInfoLog(program));
  return program;
}

function uniforms(gl, program) {
  const count = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS);
  const names = Array.from({ length: count }, (_, k) => gl.getActiveUniform(program, k).name);
  return Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(program, name)]));
}

function filled(gl, target, data, usage = gl.STATIC_DRAW) {
  const buffer = gl.createBuffer();
  gl.bindBuffer(target, buffer);
  gl.bufferData(target, data, usage);
  return buffer;
}

// Camera: an orbit around `target`, z up; columns of matrices one after the other

const home = { azimuth: 0, elevation: ELEVATION, distance: DISTANCE, fov: FOV, target: [0, 0, 0] };
const state = { ...home, at: 0, playing: false, lit: about.kind === "mesh", background: 0, size: null };

function axesOf({ azimuth, elevation }) {
  const a = azimuth * Math.PI / 180, e = elevation * Math.PI / 180;
  const back = [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
  const right = [-Math.sin(a), Math.cos(a), 0];
  const up = [-Math.sin(e) * Math.cos(a), -Math.sin(e) * Math.sin(a), Math.cos(e)];
  return { right, up, back };
}

function cameraOf(width, height) {
  const { right, up, back } = axesOf(state), { distance, target } = state;
  const eye = target.map((value, k) => value + distance * back[k]);
  const dot = (axis) => -axis.reduce((sum, value, k) => sum + value * eye[k], 0);
  const view = [0, 1, 2].flatMap((k) => [right[k], up[k], back[k], 0]).concat([dot(right), dot(up), dot(back), 1]);
  // The field of view holds for the shorter side, so that a narrow window shows the whole model too.
  const focal = Math.min(1, width / height) / Math.tan(state.fov * Math.PI / 360);
  const near = 0.02 * distance, far = distance + 50;
  const projection = [
    focal * height / width, 0, 0, 0, 0, focal, 0, 0,
    0, 0, (near + far) / (near - far), -1, 0, 0, 2 * near * far / (near - far), 0,
  ];
  return { view, projection, eye, width, height, lit: state.lit };
}

// Pictures

function drawer(gl, drawModel) {
  const canvas = gl.canvas;
  return () => {
    const scale = state.size ? 1 : window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.max(1, Math.round(side * scale)));
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    gl.viewport(0, 0, width, height);
    gl.clearColor(...BACKGROUNDS[state.background], 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const where = state.at / about.spacing, last = about.stored - 1;
    const from = Math.min(Math.floor(where + 1e-6), last);
    const to = about.closing ? (from + 1) % about.stored : Math.min(from + 1, last);
    drawModel(from, to, Math.min(Math.max(where - from, 0), 1), cameraOf(width, height));
  };
}

function filmDrawer(film, sheet) {
  const { views, frames, columns, width, height } = about.videos;
  const across = Math.min(views, 2), down = Math.ceil(views / across), context = film.getContext("2d");
  [film.width, film.height] = [across * width, down * height];
  let shown = -1;
  return () => {
    const frame = Math.round(Math.floor(state.at + 1e-6) * (frames - 1) / Math.max(about.frames - 1, 1));
    if (frame === shown) return;
    shown = frame;
    for (let v = 0; v < views; v++) {
      const tile = frame * views + v, x = tile % columns * width, y = Math.floor(tile / columns) * height;
      context.drawImage(sheet, x, y, width, height, v % across * width, Math.floor(v / across) * height, width, height);
    }
  };
}

// What people do

function letTurn(canvas, changed) {
  const fingers = new Map();
  let spread = 0;
  const middle = () => [0, 1].map((k) => [...fingers.values()].reduce((sum, at) => sum + at[k], 0) / fingers.size);
  const pan = (dx, dy) => {
    const { right, up } = axesOf(state), step = 2 * state.distance * Math.tan(state.fov * Math.PI / 360) / canvas.clientHeight;
    state.target = state.target.map((value, k) => value - step * (dx * right[k] - dy * up[k]));
  };
  const zoom = (factor) => { state.distance = Math.min(Math.max(state.distance * factor, 0.3), 20); };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    spread = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = middle();
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const [dx, dy] = middle().map((value, k) => value - before[k]);
    if (fingers.size > 1) {
      const [a, b] = [...fingers.values()], apart = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (spread) zoom(spread / apart);
      spread = apart;
      pan(dx, dy);
    } else if (event.buttons & 2 || event.shiftKey) {
      pan(dx, dy);
    } else {
      state.azimuth -= dx * 0.4;
      state.elevation = Math.min(Math.max(state.elevation + dy * 0.4, -89), 89);
    }
    changed();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => { fingers.delete(event.pointerId); spread = 0; });
  }
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(Math.min(Math.max(event.deltaY, -200), 200) * 0.002));
    changed();
  }, { passive: false });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", () => { Object.assign(state, home); changed(); });
}

function tell() {
  element("controls").style.visibility = about.frames > 1 ? "visible" : "hidden";  // nothing to play
  element("title").textContent = about.title;
  for (const [label, value] of about.facts) {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, text.textContent] = [label, value];
    element("facts").append(term, text);
  }
  for (const note of about.notes) {
    const item = document.createElement("li");
    item.textContent = note;
    element("notes").append(item);
  }
}

// The end of the timeline: without a way back to frame 0 the last frame is held for as long as the others.
const LENGTH = about.frames, END = about.closing ? about.frames : Math.max(about.frames - 1, 0);

function controls(changed) {
  const play = element("play"), time = element("time");
  time.max = about.closing ? END - 1e-3 : END;
  const start = (playing) => {
    if (playing && !element("loop").checked && state.at >= END - 1e-3) state.at = 0;
    state.playing = playing && about.frames > 1;
    play.textContent = state.playing ? "❚❚" : "▶";
    changed();
  };
  const jump = (at) => { state.at = Math.min(Math.max(at, 0), Number(time.max)); changed(); };
  play.addEventListener("click", () => start(!state.playing));
  time.addEventListener("input", () => { start(false); jump(Number(time.value)); });
  const cycle = (name, count) => { state[name] = (state[name] + 1) % count; changed(); };
  element("background").addEventListener("click", () => cycle("background", BACKGROUNDS.length));
  element("light").addEventListener("click", () => { state.lit = !state.lit; changed(); });
  element("light").hidden = about.kind !== "mesh";
  for (const [name, azimuth] of [["front", 0], ["left", 90], ["back", 180], ["right", 270], ["¾", 45]]) {
    const button = document.createElement("button");
    button.textContent = name;
    button.addEventListener("click", () => { Object.assign(state, home, { azimuth }); changed(); });
    element("views").append(button);
  }
  document.addEventListener("keydown", (event) => {
    if (["SELECT", "BUTTON"].includes(event.target.tagName) && event.key === " ") return;
    if (event.key === " ") start(!state.playing);
    else if (event.key === "ArrowRight") { start(false); jump(Math.floor(state.at + 1e-6) + 1); }
    else if (event.key === "ArrowLeft") { start(false); jump(Math.ceil(state.at - 1e-6) - 1); }
    else return;
    event.preventDefault();
  });
  return start;
}

function advance(seconds) {
  state.at += seconds * about.fps * Number(element("speed").value);
  if (element("loop").checked) state.at %= LENGTH;
  return element("loop").checked || state.at < END;
}

async function run() {
  tell();
  const canvas = element("picture");
  const gl = canvas.getContext("webgl2", { antialias: true, alpha: false });
  if (!gl) throw Error("This browser has no WebGL 2, which draws the model.");
  const [arrays, images, sheet] = await Promise.all([readArrays(), readImages(), about.videos && readImage(about.videos.image)]);
  const draw = drawer(gl, (about.kind === "mesh" ? meshDrawing : splatDrawing)(gl, about, arrays, images));
  const film = sheet ? filmDrawer(element("film"), sheet) : () => {};
  element("videos").hidden = !sheet;
  let asked = false, before = 0;
  const changed = () => {
    if (!asked) requestAnimationFrame(paint);
    asked = true;
  };
  const start = controls(changed);
  const show = () => {
    draw();
    film();
    element("time").value = state.at;
    element("frame").textContent = `${Math.min(Math.floor(state.at + 1e-6), about.frames - 1) + 1} / ${about.frames}`;
  };
  const paint = (now) => {
    asked = false;
    if (state.playing && before && !advance(Math.min((now - before) / 1000, 0.25))) {
      state.at = Number(element("time").max);
      start(false);
    }
    before = state.playing ? now : 0;
    show();
    if (state.playing) changed();
  };
  letTurn(canvas, changed);
  new ResizeObserver(changed).observe(canvas);
  // A frame from a camera { azimuth, elevation, distance, fov, lit, background, size }, for scripts; `size` in pixels.
  const jump = (frame, camera = {}) => {
    start(false);
    Object.assign(state, { at: frame }, camera);
    if (state.size) canvas.style.cssText = `position:absolute;left:0;top:0;width:${state.size}px;height:${state.size}px`;
    show();
  };
  show();
  start(about.frames > 1);
  return { show: jump, arrays, about };
}

window.animate3d = run();
window.animate3d.catch((error) => {
  element("message").hidden = false;
  element("message").textContent = error.message;
});
