"use strict";
// Tables: a head sorts (button, aria-sort), a field filters, and long ones turn pages. Nothing here is from data.
const PAGE = 50, FILTERED = 8;

function make(name, words = "", attributes = {}) {
  const element = document.createElement(name);
  element.textContent = words;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function sortable(table) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const rows = [...body.rows], number = text => (text.trim() === "" ? NaN : Number(text));
  let shown = rows, at = 0;
  const tools = make("div", "", {class: "tools"}), said = make("span", "", {role: "status"});
  const back = make("button", "Earlier rows", {type: "button"}), on = make("button", "Later rows", {type: "button"});

  function draw() {
    body.replaceChildren(...shown.slice(at, at + PAGE));
    const end = Math.min(at + PAGE, shown.length);
    said.textContent = shown.length ? `rows ${at + 1} to ${end} of ${shown.length}` : "no row has these words";
    // Not disabled: a button that is loses the keyboard.
    back.setAttribute("aria-disabled", at === 0);
    on.setAttribute("aria-disabled", end === shown.length);
  }

  function sort(place) {
    const head = heads[place], down = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => row.cells[place].textContent, sign = down ? -1 : 1;
    // What is empty comes last either way; numbers before words.
    const order = (a, b) => {
      const [s, t] = [key(a), key(b)], [x, y] = [number(s), number(t)];
      if (!s.trim() || !t.trim()) return !s.trim() - !t.trim();
      if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
      return sign * (isNaN(x) ? s.localeCompare(t) : x - y);
    };
    rows.sort(order);
    shown = [...shown].sort(order);
    at = 0;
    draw();
  }

  heads.forEach((head, place) => {
    const button = make("button", head.textContent, {type: "button"});
    button.onclick = () => sort(place);
    head.replaceChildren(button);
    if (rows.length && rows.every(row => !isNaN(number(row.cells[place].textContent)) || !row.cells[place].textContent.trim()))
      for (const row of rows) row.cells[place].classList.add("number");
  });
  if (rows.length > FILTERED) {
    const label = make("label", "Filter: "), field = make("input", "", {type: "search", placeholder: "words"});
    field.oninput = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      shown = rows.filter(row => words.every(word => row.textContent.toLowerCase().includes(word)));
      at = 0;
      draw();
    };
    label.append(field);
    tools.append(label, said);
    if (rows.length > PAGE) tools.append(back, on);
    back.onclick = () => { at = Math.max(0, at - PAGE); draw(); };
    on.onclick = () => { if (at + PAGE < shown.length) at += PAGE; draw(); };
    (table.closest(".scroll") ?? table).before(tools);
  }
  draw();
}

for (const table of document.querySelectorAll("table:not(.grid)")) if (table.tHead && table.tBodies.length) sortable(table);
// Within another page (Snakemake's report) no other page or file lies where a link of this one leads: words stay.
const FRAMED = window.top !== window;
if (FRAMED) {
  for (const link of document.querySelectorAll('a[href]:not([href^="#"], [href^="http"])')) link.replaceWith(...link.childNodes);
  const nav = document.querySelector("nav");
  nav.replaceChildren(...nav.querySelectorAll("a"));
  nav.append(make("span", "Links to other pages and files are left out here; they lead on in the folder results/", {class: "soft"}));
}
// A box that scrolls can be scrolled by keyboard.
for (const box of document.querySelectorAll(".scroll")) {
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", box.querySelector("caption")?.textContent || "table");
}
