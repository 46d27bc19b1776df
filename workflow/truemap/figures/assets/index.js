// The first page: grids to pick cells of, and maps to look through. All that is data comes from JSON, as text.
const read = id => JSON.parse(document.getElementById(id).textContent);
const WORDS = {
  informative: "class-informative activation", pairwise: "pairwise class differences", network: "the network's Shapley values",
  full: "truth of all maps", leave_out: "truth without the map explained", _absolute: ", sizes without signs",
};
const NAMES = read("names");
const plain = word => NAMES[word] ?? word.replaceAll("_", " ");
const said = word => word.endsWith("_absolute") ? WORDS[word.slice(0, -9)] + WORDS._absolute : WORDS[word] ?? plain(word);
// What rounds to 0 has no sign.
const figures = (value, digits = 3) => value === null ? "no value" : value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1");
const pWords = p => p === 0 ? "< 1e-300" : `= ${p}`;
const nameOf = e => e.model === "reference" ? `reference: ${plain(e.method)}` : `${e.label}, ${plain(e.method)}`;
const viewers = {};

function choice(label, options, change) {
  const select = make("select");
  options.forEach(([value, text]) => select.append(make("option", text, {value})));
  select.onchange = () => change(select.value);
  const box = make("label", `${label} `);
  box.append(select);
  return [box, select];
}

function shade(element, value, low, high) {
  const t = high > low ? (value - low) / (high - low) : 0.5;
  const rgb = [[237, 246, 255], [8, 48, 107]].reduce((a, b) => a.map((x, k) => Math.round(x + t * (b[k] - x))));
  const [r, g, b] = rgb.map(x => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
  element.style.background = `rgb(${rgb})`;
  element.style.color = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

// The grid

function grid(place) {
  const told = read(`data-${place.dataset.dataset}`), entries = told.entries, size = entries.length;
  let block = 0, picked = null, at = 0, buttons = [];
  const detail = make("div", "", {class: "detail", "aria-live": "polite"}), below = make("div"), tables = make("div");
  const [label, select] = choice("Agreement with", told.grid.map((b, k) => [k, `${said(b.criterion)}; ${said(b.truth)}`]), value => {
    block = Number(value);
    draw();
  });
  const start = told.grid.findIndex(b => b.truth === told.truth);
  block = select.selectedIndex = Math.max(0, start);
  const tools = make("div", "", {class: "tools"});
  tools.append(label);
  place.append(tools, tables, detail, below);

  function pair(a, b) {
    const [i, j] = a < b ? [a, b] : [b, a], place = i * size - i * (i + 1) / 2 + j - i - 1, now = told.grid[block];
    const difference = now.difference[place];
    return {difference: difference === null ? null : a < b ? difference : -difference, p: now.p_bonferroni[place], why: now.untested[place]};
  }

  function about(k) {
    const now = told.grid[block], mean = now.mean[k];
    const lines = [make("b", nameOf(entries[k]))];
    const text = [`mean r ${figures(mean)}`];
    if (now.ci_low[k] !== null) text.push(`95% interval ${figures(now.ci_low[k])} to ${figures(now.ci_high[k])}`);
    if (mean !== null) text.push(`n = ${now.n[k]}`);
    if (now.share[k] !== null && told.group) text.push(`${Math.round(100 * now.share[k])}% of ${plain(told.group)}`);
    if (now.missing[k]) text.push(`${now.missing[k]} r missing`);
    if (now.reason[k]) text.push(now.reason[k]);
    lines.push(make("p", text.join("; ")));
    if (picked !== null && picked !== k) {
      const {difference, p, why} = pair(k, picked);
      const test = p === null ? why : `Bonferroni p ${pWords(p)}`;
      lines.push(make("p", `against ${nameOf(entries[picked])} (picked): difference ${figures(difference)}, ${test}`));
    }
    detail.replaceChildren(...lines);
  }

  function cell(k) {
    const now = told.grid[block], mean = now.mean[k], box = make("td");
    if (mean === null) { box.className = "none"; box.textContent = "no r"; box.title = now.reason[k]; return box; }
    const button = make("button", figures(mean, 2), {
      class: "cell", type: "button", "aria-pressed": picked === k, "aria-label": `${nameOf(entries[k])}: mean r ${figures(mean, 2)}`,
    });
    const means = now.mean.filter(value => value !== null);
    shade(button, mean, Math.min(0, ...means), Math.max(...means));
    button.onmouseenter = () => about(k);
    button.onfocus = () => { at = buttons.findIndex(one => one.k === k); roving(); about(k); };
    button.onclick = () => pick(k);
    buttons.push({button, k});
    box.append(button);
    return box;
  }

  function roving() { buttons.forEach(({button}, n) => { button.tabIndex = n === at ? 0 : -1; }); }

  function table(caption, rows, columns, find) {
    const element = make("table", "", {class: "grid"}), head = make("tr");
    element.append(make("caption", caption), make("thead"), make("tbody"));
    head.append(make("td"), ...columns.map(name => make("th", plain(name), {scope: "col"})));
    element.tHead.append(head);
    for (const [key, name] of rows) {
      const row = make("tr");
      row.append(make("th", name, {scope: "row"}));
      for (const column of columns) {
        const k = entries.findIndex(entry => find(entry, key, column));
        row.append(k < 0 ? make("td", "", {class: "none"}) : cell(k));
      }
      element.tBodies[0].append(row);
    }
    const box = make("div", "", {class: "scroll"});
    box.append(element);
    return box;
  }

  function draw() {
    buttons = [];
    const ours = entries.filter(entry => entry.model !== "reference"), others = entries.filter(entry => entry.model === "reference");
    const models = [...new Map(ours.map(entry => [entry.model, entry.label]))], methods = [...new Set(ours.map(entry => entry.method))];
    const is = (entry, model, method) => entry.model === model && entry.method === method;
    tables.replaceChildren(table("Mean r; rows: ways to train, columns: ways to explain", models, methods, is));
    if (others.length) tables.append(table("Maps that know nothing of any network", [["reference", "no network"]], others.map(e => e.method), is));
    at = Math.min(at, buttons.length - 1);
    roving();
    if (picked === null && buttons.length) detail.replaceChildren(make("p", "Point at a cell, or go to one with the keyboard."));
    else if (picked !== null) pick(picked);
  }

  function pick(k) {
    picked = k;
    buttons.forEach(({button, k: one}) => button.setAttribute("aria-pressed", one === k));
    about(k);
    const now = told.grid[block], entry = entries[k], box = make("details"), values = now.values[k];
    box.open = true;
    box.append(make("summary", `${nameOf(entry)}: its maps, subjects and tests`));
    const viewer = viewers[told.dataset], seen = viewer?.has(entry);
    if (seen) {
      const show = make("button", "Show its maps", {type: "button"});
      show.onclick = () => viewer.show(entry);
      box.append(show);
    }
    if (entry.model !== "reference") {
      const base = `${told.dataset}/`, tail = `${entry.model}/seed-${told.seeds[k]}/${entry.method}`, links = make("p", "Files: ");
      [["mean maps", `saliency/${tail}.mean.nii.gz`], ["r of each map", `scores/${tail}.parquet`]].forEach(([words, path], n) => {
        links.append(n ? ", " : "", FRAMED ? words : make("a", words, {href: base + path}));
      });
      box.append(links);
    }
    const tests = entries.map((other, j) => [other, j]).filter(([, j]) => j !== k && now.mean[j] !== null);
    box.append(listing("Tests against each other map", ["against", "difference", "Bonferroni p"], tests.map(([other, j]) => {
      const {difference, p, why} = pair(k, j);
      return [nameOf(other), figures(difference), p === null ? why : String(p)];
    })));
    const rows = now.units.map((unit, n) => [unit, values[n] === null ? "" : figures(values[n])]);
    box.append(listing("Mean r of each subject (of each image, where there are no subjects)", ["subject or image", "mean r"], rows));
    below.replaceChildren(box);
    box.querySelectorAll("table").forEach(sortable);
  }

  place.addEventListener("keydown", event => {
    if (!event.target.classList.contains("cell")) return;
    const row = event.target.closest("tr").querySelectorAll(".cell").length, steps = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row};
    if (!(event.key in steps)) return;
    event.preventDefault();
    at = Math.max(0, Math.min(buttons.length - 1, at + steps[event.key]));
    buttons[at].button.focus();
  });
  draw();
}

function listing(caption, heads, rows) {
  const box = make("div", "", {class: "scroll", tabindex: 0, role: "region", "aria-label": caption}), table = make("table"), head = make("tr");
  table.append(make("caption", caption), make("thead"), make("tbody"));
  head.append(...heads.map(words => make("th", words, {scope: "col"})));
  table.tHead.append(head);
  for (const cells of rows) { const row = make("tr"); row.append(...cells.map(words => make("td", words))); table.tBodies[0].append(row); }
  box.append(table);
  return box;
}
