// Maps in three slices (an image in one), truth beside map, one crosshair for both.
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
let beneath = null;

function volume(seen, map) {
  const full = new Int8Array(seen.shape[0] * seen.shape[1] * seen.shape[2]), mask = bytes(seen.mask), values = bytes(map.data);
  for (let k = 0, n = 0; k < full.length; k++) if (mask[k >> 3] >> (7 - k % 8) & 1) full[k] = values[n++] << 24 >> 24;
  return full;
}

function voxel(space, point) {
  const at = space.inverse.map(row => Math.round(row[0] * point[0] + row[1] * point[1] + row[2] * point[2] + row[3]));
  return at.every((k, n) => k >= 0 && k < space.shape[n]) ? (at[0] * space.shape[1] + at[1]) * space.shape[2] + at[2] : -1;
}

function viewer(place) {
  const told = read(`data-${place.dataset.dataset}`), seen = told.viewer, image = seen.image;
  if (!image && !beneath) { const t = read("template"); beneath = {...t, values: bytes(t.data)}; }
  const thin = seen.shape.indexOf(1), axes = image ? [0, 1, 2].filter(n => n !== thin) : [0, 1, 2];
  // Of an image, points are its voxels.
  const space = image ? {shape: seen.shape, inverse: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]} : seen;
  const from = image ? [0, 0, 0] : beneath.from, to = image ? seen.shape.map(n => n - 1) : beneath.to, step = image ? 1 : 2;
  const planes = image ? [{u: axes[1], v: axes[0], down: true}] : [{u: 1, v: 2}, {u: 0, v: 2}, {u: 0, v: 1}];
  const grain = image ? 1 : 1, length = n => Math.round((to[n] - from[n]) / grain) + 1;
  let left = 0;
  for (const plane of planes) { plane.left = left; left += length(plane.u) + (image ? 0 : 6); }
  const width = left - (image ? 0 : 6), height = Math.max(...planes.map(plane => length(plane.v)));
  // The crosshair begins where the first truth is largest.
  const point = from.map((low, n) => Math.max(low, Math.min(to[n], low + step * Math.round((seen.maps[0].at[n] - low) / step)))), names = image ? ["row", "column"] : ["x, left to right", "y, back to front", "z, down to up"];
  let threshold = 30, volumes = [];

  const entries = told.entries.filter(e => seen.maps.some(m => m.entry?.[0] === e.model && m.entry[1] === e.method));
  const people = [...new Set(seen.maps.map(m => m.who))];
  const pairs = [...new Map(seen.maps.map(m => [JSON.stringify([m.label, m.target]), m]))];
  const pairWords = m => m.label === m.target ? `${m.label}` : `${m.label}, explained for ${m.target}`;
  const knobs = make("div", "", {class: "knobs"}), pictures = make("div", "", {class: "pair"}), output = make("output");
  const [whoBox, who] = choice("Whose maps", people.map(w => [w, w]), pick);
  const [pairBox, pair] = choice("Class", pairs.map(([key, m]) => [key, pairWords(m)]), pick);
  const [entryBox, entry] = choice("Way to train and to explain", entries.map((e, k) => [k, nameOf(e)]), pick);
  const sliders = axes.map((n, k) => range(image ? names[k] : `${names[n]}, mm`, from[n], to[n], step, point[n], value => { point[n] = value; draw(); }));
  const limit = range("Threshold, % of the peak", 0, 95, 5, threshold, value => { threshold = value; draw(); });
  knobs.append(whoBox, pairBox, entryBox, limit.box, ...sliders.map(s => s.box));
  const canvases = ["truth", "map"].map(name => {
    const figure = make("figure"), caption = make("figcaption"), canvas = make("canvas", "", {tabindex: 0, role: "img", width, height, "data-of": name});
    canvas.style.width = image ? "min(100%, 15rem)" : "100%";
    if (!image) canvas.style.imageRendering = "auto";
    figure.append(canvas, caption);
    pictures.append(figure);
    canvas.onpointerdown = canvas.onpointermove = event => event.buttons && aim(canvas, event);
    canvas.onkeydown = keys;
    return {canvas, caption, context: canvas.getContext("2d")};
  });
  place.append(knobs, pictures, output);

  function range(words, low, high, by, value, change) {
    const box = make("label", `${words}: `), shown = make("span", String(value)), input = make("input", "", {type: "range", min: low, max: high, step: by});
    input.value = value;
    input.oninput = () => { shown.textContent = input.value; change(Number(input.value)); };
    box.append(shown, input);
    return {box, set: now => { input.value = now; shown.textContent = input.value; }};
  }

  function move(n, to_) {
    point[n] = Math.max(from[n], Math.min(to[n], to_));
    sliders[axes.indexOf(n)].set(point[n]);
  }

  function keys(event) {
    const [a, b] = image ? [axes[1], axes[0]] : [0, 1], up = image ? -step : step;
    const moves = {ArrowLeft: [a, -step], ArrowRight: [a, step], ArrowUp: [b, up], ArrowDown: [b, -up], PageUp: [2, step], PageDown: [2, -step]};
    if (!(event.key in moves) || !axes.includes(moves[event.key][0])) return;
    event.preventDefault();
    move(moves[event.key][0], point[moves[event.key][0]] + moves[event.key][1]);
    draw();
  }

  function aim(canvas, event) {
    const box = canvas.getBoundingClientRect();
    const x = Math.floor((event.clientX - box.left) / box.width * width), y = Math.floor((event.clientY - box.top) / box.height * height);
    const plane = planes.findLast(p => x >= p.left);
    move(plane.u, from[plane.u] + (x - plane.left) * grain);
    move(plane.v, plane.down ? from[plane.v] + y * grain : to[plane.v] - y * grain);
    draw();
  }

  function pick() {
    const [label, target] = JSON.parse(pair.value), e = entries[entry.value];
    const of = wanted => seen.maps.find(m => m.who === who.value && m.label === label && m.target === target &&
      (wanted ? m.entry?.[0] === wanted.model && m.entry[1] === wanted.method : !m.entry));
    volumes = [of(null), of(e)].map(map => map ? {map, values: volume(seen, map)} : null);
    const words = label === target ? `${label}: class-informative activation` : `what would turn ${label} into ${target}`;
    canvases[0].caption.textContent = volumes[0] ? `Truth. ${words}` : "no truth of this class";
    canvases[1].caption.textContent = volumes[1] ? `${nameOf(e)}. r with the truth ${figures(volumes[1].map.r)} over these voxels` : "no map of this class";
    draw();
  }

  function colour(pixels, k, value, grey) {
    const size = Math.abs(value) / 127, shown = value !== 0 && size * 100 >= threshold;
    const rgb = value > 0 ? [255, 60 + 190 * size, 20 * size] : [40 * size, 110 + 140 * size, 255];
    for (let n = 0; n < 3; n++) pixels[k + n] = shown ? rgb[n] * (image ? size : 1) : grey;
    pixels[k + 3] = 255;
  }

  function paint(context, shown) {
    const picture = context.createImageData(width, height), at = [...point];
    for (const plane of planes) for (let i = 0; i < length(plane.u); i++) for (let j = 0; j < length(plane.v); j++) {
      [at[0], at[1], at[2]] = point;
      at[plane.u] = from[plane.u] + i * grain;
      at[plane.v] = plane.down ? from[plane.v] + j * grain : to[plane.v] - j * grain;
      const k = voxel(space, at), under = image ? -1 : voxel(beneath, at);
      colour(picture.data, 4 * (j * width + plane.left + i), shown && k >= 0 ? shown.values[k] : 0, under < 0 ? 0 : beneath.values[under] * 0.75);
    }
    context.putImageData(picture, 0, 0);
    context.fillStyle = image ? "#ffffff99" : "#00ff88";
    for (const plane of planes) {
      const x = plane.left + (point[plane.u] - from[plane.u]) / grain, y = (plane.down ? point[plane.v] - from[plane.v] : to[plane.v] - point[plane.v]) / grain;
      if (image) { context.fillRect(x + 0.35, y + 0.35, 0.3, 0.3); continue; }
      context.fillRect(x, 0, 1, length(plane.v));
      context.fillRect(plane.left, y, length(plane.u), 1);
      if (plane.u === 0) ["L", "R"].forEach((side, n) => context.fillText(side, plane.left + (n ? length(0) - 12 : 4), 12));
    }
  }

  function draw() {
    const k = voxel(space, point), where = image ? axes.map((n, m) => `${names[m]} ${point[n]}`).join(", ") : `x ${point[0]}, y ${point[1]}, z ${point[2]} mm`;
    const values = volumes.map(shown => shown && k >= 0 ? (shown.values[k] / 127 * shown.map.peak).toPrecision(2) : "none");
    canvases.forEach(({canvas, context}, n) => {
      paint(context, volumes[n]);
      canvas.setAttribute("aria-label", `${n ? "map" : "truth"} at ${where}: ${values[n]}. Arrow keys${image ? "" : ", Page Up and Page Down"} move the crosshair.`);
    });
    output.textContent = `At ${where}: truth ${values[0]}, map ${values[1]}.`;
  }

  viewers[told.dataset] = {
    has: wanted => entries.includes(entries.find(e => e.model === wanted.model && e.method === wanted.method)),
    show: wanted => {
      entry.value = entries.findIndex(e => e.model === wanted.model && e.method === wanted.method);
      pick();
      document.getElementById(`${told.dataset}-maps`).scrollIntoView();
      entry.focus({preventScroll: true});
    },
  };
  pick();
}

document.querySelectorAll(".viewer").forEach(viewer);
document.querySelectorAll(".picked").forEach(grid);
