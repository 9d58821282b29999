"use strict";
// Panels are laid out in ranks, and a block that is opened holds its panel, laid out the same way.
const data = JSON.parse(document.getElementById("data").textContent);
const panels = new Map(data.figure.panels.map(panel => [panel.id, panel]));
const view = document.getElementById("view"), tip = document.getElementById("tip"), search = document.getElementById("search");
const found = document.getElementById("found");
const opened = new Set();
const GAP_X = 12, GAP_Y = 14, PAD = 8, HEAD = 14, LINE = 10;
let area = { x: 0, y: 0, w: 100, h: 100 }, drawn = area, hits = [], hit = -1;

const ruler = document.createElement("canvas").getContext("2d");
function width(text, size, bold) {
  ruler.font = `${bold ? "bold " : ""}${size}px Helvetica, Arial, sans-serif`;
  return ruler.measureText(text).width;
}
function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
const many = times => (times > 1 ? ` ×${times}` : "");
const heading = panel => panel.title + (panel.formals.length ? ` (${panel.formals.join(", ")})` : "") + many(panel.times);
const boxesOf = items => items.flatMap(item => (item.items ? boxesOf(item.items) : [item]));
const inner = box => (box.panel && panels.has(box.panel) ? panels.get(box.panel) : null);

// --- layout: every function gives {w, h, place(x, y, sink)} --------------------------------------

function leaf(box, key) {
  if (box.kind === "point") return { w: 4, h: 4, box, key };
  if (box.kind === "symbol") return { w: 13, h: 13, box, key };
  const lines = [];
  if (box.name) lines.push({ text: box.name, small: true, bold: true });
  lines.push({ text: box.label + many(box.times), bold: box.kind === "block" });
  if (box.detail) lines.push({ text: box.detail, small: true });
  if (box.shape) lines.push({ text: box.shape, small: true });
  if (box.where) lines.push({ text: box.where, small: true });
  if (box.note) lines.push({ text: box.note, small: true });
  const strips = box.strips.map(strip => ({ ...strip, w: width(strip.text, 7) + 8 }));
  const w = Math.max(30, ...lines.map(line => width(line.text, line.small ? 7 : 8, line.bold) + 10), strips.reduce((sum, s) => sum + s.w, 4));
  return { w, h: lines.length * LINE + (strips.length ? LINE + 1 : 0) + 4, box, key, lines, strips };
}

function cell(item, edges, path) {
  const key = `${path}/${item.id}`;
  if (item.items) return frame(item, item.items, edges, key, item.label + many(item.times), item.detail);
  const panel = inner(item);
  if (panel && opened.has(key)) {
    return frame(item, panel.items, panel.edges, key, item.label + many(item.times), item.detail || heading(panel), true);
  }
  return leaf(item, key);
}

function frame(item, items, edges, key, label, detail, own) {
  const inside = layout(items, edges, key);
  const w = Math.max(inside.w + 2 * PAD, width(label, 8, true) + width(detail || "", 7) + 3 * PAD);
  return { w, h: inside.h + HEAD + 2 * PAD, box: item, key, inside, label, detail, own, edges };
}

function layout(items, edges, path) {
  const cells = items.map(item => cell(item, edges, path));
  const holder = new Map();
  items.forEach((item, i) => boxesOf([item]).forEach(box => holder.set(box.id, i)));
  const links = [];
  for (const edge of edges) {
    const tail = holder.get(edge.tail), head = holder.get(edge.head);
    if (tail !== undefined && head !== undefined && tail !== head) links.push({ tail, head, edge });
  }
  const rank = ranks(cells.length, links), rows = [];
  rank.forEach((r, i) => (rows[r] ||= []).push(i));
  const alone = rows.filter(row => row.length === 1).map(row => cells[row[0]]).filter(c => c.lines);
  const widest = Math.max(0, ...alone.map(c => c.w));
  for (const c of alone) c.w = widest;
  const joints = route(cells, links, rank, rows);
  order(rows, joints);
  place(cells, rows, joints);
  let y = 0, left = Infinity, right = -Infinity, side = 0;
  for (const row of rows) {
    const h = Math.max(...row.map(i => cells[i].h));
    for (const i of row) {
      const c = cells[i];
      Object.assign(c, { x: c.middle - c.w / 2, y: c.bend ? y : y + (h - c.h) / 2, from: y, to: y + h });
      if (c.bend) c.h = h;
      left = Math.min(left, c.x);
      right = Math.max(right, c.x + c.w);
    }
    y += h + GAP_Y;
  }
  for (const c of cells) c.x -= left;
  // A fold of alike parts may read its own outcome: that way goes back beside everything.
  for (const link of links) if (!link.via) link.side = right - left + 8 + 7 * side++;
  return { w: Math.max(0, right - left) + (side ? 8 + 7 * side : 0), h: Math.max(0, y - GAP_Y), cells, links };
}

// A way past other rows gets a cell of its own in each of them, so that it crosses no box. Gives the ways in steps.
function route(cells, links, rank, rows) {
  const joints = [];
  for (const link of links) {
    if (rank[link.head] <= rank[link.tail]) continue;
    link.via = [];
    let last = link.tail;
    for (let r = rank[link.tail] + 1; r < rank[link.head]; r++) {
      const label = link.via.length ? "" : link.edge.label;
      const next = cells.push({ w: label ? width(label, 7) + 12 : 6, h: label ? LINE : 0, bend: true }) - 1;
      rows[r].push(next);
      link.via.push(next);
      joints.push({ tail: last, head: next, weight: last === link.tail ? 1 : 8 });
      last = next;
    }
    joints.push({ tail: last, head: link.head, weight: link.edge.kind === "main" ? 1000 : 1 });
  }
  return joints;
}

function neighbours(joints) {
  const above = new Map(), below = new Map();
  const add = (map, key, value) => map.has(key) ? map.get(key).push(value) : map.set(key, [value]);
  for (const { tail, head, weight } of joints) { add(above, head, [tail, weight]); add(below, tail, [head, weight]); }
  return [above, below];
}

// Each cell near the middle of what it is joined to, above and below in turn.
function order(rows, joints) {
  const at = new Map(), sides = neighbours(joints);
  const number = row => row.forEach((i, k) => at.set(i, k));
  rows.forEach(number);
  for (let round = 0; round < 6; round++) {
    for (const row of round % 2 ? [...rows].reverse() : rows) {
      const mean = new Map(row.map(i => {
        const near = (sides[round % 2].get(i) || []).map(([other]) => at.get(other));
        return [i, near.length ? near.reduce((a, b) => a + b, 0) / near.length : at.get(i)];
      }));
      row.sort((a, b) => mean.get(a) - mean.get(b) || at.get(a) - at.get(b));
      number(row);
    }
  }
}

function place(cells, rows, joints) {
  const sides = neighbours(joints);
  for (const c of cells) c.middle = 0;
  for (let round = 0; round < 9; round++) {
    for (const row of round % 2 ? [...rows].reverse() : rows) {
      const near = i => round ? (round > 6 ? [...(sides[0].get(i) || []), ...(sides[1].get(i) || [])] : sides[round % 2].get(i) || []) : sides[0].get(i) || [];
      spread(cells, row, row.map(i => {
        const joined = near(i), sum = joined.reduce((total, [, weight]) => total + weight, 0);
        return { wish: sum ? joined.reduce((total, [other, weight]) => total + weight * cells[other].middle, 0) / sum : cells[i].middle, weight: sum || .1 };
      }));
    }
  }
}

// The places nearest to the wished ones that keep the order and the gaps: neighbours in each other's way move together.
function spread(cells, row, wishes) {
  let offset = 0;
  const offsets = row.map((i, k) => offset += k ? (cells[row[k - 1]].w + cells[i].w) / 2 + GAP_X : 0);
  const pools = [];
  wishes.forEach(({ wish, weight }, k) => {
    pools.push({ at: wish - offsets[k], weight, count: 1 });
    while (pools.length > 1 && pools.at(-2).at > pools.at(-1).at) {
      const b = pools.pop(), a = pools.pop(), sum = a.weight + b.weight;
      pools.push({ at: (a.at * a.weight + b.at * b.weight) / sum, weight: sum, count: a.count + b.count });
    }
  });
  let k = 0;
  for (const pool of pools) for (let n = 0; n < pool.count; n++, k++) cells[row[k]].middle = pool.at + offsets[k];
}

function ranks(count, links) {
  const rank = Array(count).fill(0), into = Array.from({ length: count }, () => []), missing = Array(count).fill(0);
  for (const link of links) { into[link.tail].push(link.head); missing[link.head]++; }
  const ready = [...rank.keys()].filter(i => !missing[i]);
  const done = new Set();
  while (done.size < count) {
    // A fold of alike parts may read its own outcome: then the first that is left goes on.
    const next = ready.length ? ready.shift() : rank.findIndex((_, i) => !done.has(i));
    if (done.has(next)) continue;
    done.add(next);
    for (const head of into[next]) {
      if (!done.has(head)) rank[head] = Math.max(rank[head], rank[next] + 1);
      if (--missing[head] === 0) ready.push(head);
    }
  }
  return rank;
}

// --- drawing -------------------------------------------------------------------------------------

function draw(keep) {
  const content = element("g", {});
  content.append(marker());
  let x = 0, height = 0;
  const main = data.figure.panels[0], apart = data.alone.map(id => panels.get(id));
  for (const panel of [main, ...apart]) {
    const body = layout(panel.items, panel.edges, panel.id);
    const titled = panel !== main && panel.title;
    if (titled) content.append(element("text", { x, y: 8, class: "bold label" }, heading(panel)));
    put(body, x, titled ? HEAD : 0, content);
    x += body.w + 40;
    height = Math.max(height, body.h + HEAD);
  }
  drawn = { x: -10, y: -10, w: Math.max(x - 20, 60), h: height + 20 };
  view.replaceChildren(content);
  if (!keep) area = { ...drawn };
  look();
  mark();
}

function put(body, x, y, sink) {
  const lines = [];
  for (const link of body.links) lines.push(line(link, body, x, y));
  sink.append(...lines.flat());
  for (const c of body.cells) if (!c.bend) put1(c, x + c.x, y + c.y, sink);
}

function put1(c, x, y, sink) {
  const box = c.box, group = element("g", { class: "box", "data-key": c.key, "data-path": box.path || "" });
  group.about = box;
  if (box.partial) group.classList.add("partial");
  if (box.note && !c.inside) group.classList.add("rewritten");
  if (inner(box)) opener(group, c.key, box);
  if (c.inside) {
    group.classList.add("frame");
    group.append(element("rect", { x, y, width: c.w, height: c.h, rx: 3 }));
    group.append(element("text", { x: x + PAD + (c.own ? 8 : 0), y: y + 11, class: "bold" }, c.label));
    if (c.own) group.append(sign(x + PAD + 2, y + 8, true));
    if (c.detail) group.append(element("text", { x: x + c.w - PAD, y: y + 11, class: "small", "text-anchor": "end" }, c.detail));
    sink.append(group);
    put(c.inside, x + (c.w - c.inside.w) / 2, y + HEAD + PAD, sink);
    return;
  }
  const fill = data.fills[box.role] || data.theme.box;
  if (box.kind === "point" || box.kind === "symbol") {
    const color = box.kind === "point" ? data.theme.line : fill;
    group.append(element("ellipse", { cx: x + c.w / 2, cy: y + c.h / 2, rx: c.w / 2, ry: c.h / 2, fill: color }));
    if (box.kind === "symbol") group.append(element("text", { x: x + c.w / 2, y: y + c.h / 2 + 3, "text-anchor": "middle" }, box.label));
  } else {
    group.append(element("rect", { x, y, width: c.w, height: c.h, fill, rx: box.kind === "input" || box.kind === "output" ? 5 : 0 }));
    let at = y + 9;
    for (const part of c.lines) {
      group.append(element("text", { x: x + c.w / 2, y: at, "text-anchor": "middle", class: [part.small && "small", part.bold && "bold"].filter(Boolean).join(" ") }, part.text));
      at += LINE;
    }
    const room = (c.w - 4) / Math.max(1, c.strips.length);
    c.strips.forEach((strip, i) => {
      group.append(element("rect", { x: x + 2 + i * room, y: at - 7, width: room, height: LINE, fill: data.fills[strip.role] || data.theme.box, style: "stroke: none" }));
      group.append(element("text", { x: x + 2 + (i + .5) * room, y: at, "text-anchor": "middle", class: "small" }, strip.text));
    });
  }
  if (inner(box)) group.append(sign(x + c.w - 5, y + 5, false));
  sink.append(group);
}

// Points right where a block can be opened, down where it is open.
function sign(x, y, open) {
  return element("path", { class: "sign", d: open ? `M${x - 3},${y - 1.5} h6 l-3,4 z` : `M${x - 1.5},${y - 3} v6 l4,-3 z` });
}

function line(link, body, x, y) {
  const a = body.cells[link.tail], b = body.cells[link.head], dashed = link.edge.partial || link.edge.kind === "skip";
  const ax = x + a.x + a.w / 2, bx = x + b.x + b.w / 2, by = y + b.y - 3;
  let d, lx, ly;
  if (link.via) {
    // Down to the end of its own row, then from row to row: curves only where there are no boxes.
    let px = ax, py = y + a.to;
    d = `M${ax},${y + a.y + a.h} L${px},${py}`;
    for (const c of [...link.via.map(i => body.cells[i]), b]) {
      const cx = x + c.x + c.w / 2, top = y + c.from - (c === b ? 5 : 0), half = (py + top) / 2;
      d += ` C${px},${half} ${cx},${half} ${cx},${top}` + (c === b ? ` L${cx},${by}` : ` L${cx},${y + c.to}`);
      [px, py] = [cx, y + c.to];
    }
    const first = link.via.length ? body.cells[link.via[0]] : null;
    [lx, ly] = first ? [x + first.x + first.w / 2, y + (first.from + first.to) / 2 + 2.5] : [(ax + bx) / 2 + 4, y + a.to + GAP_Y / 2];
  } else {
    const side = x + link.side, from = y + a.y + a.h / 2, to = y + b.y + b.h / 2;
    d = `M${x + a.x + a.w},${from} L${side},${from} L${side},${to} L${x + b.x + b.w + 3},${to}`;
    [lx, ly] = [side, (from + to) / 2];
  }
  const parts = [element("path", { d, class: dashed ? "edge dashed" : "edge", "marker-end": "url(#arrow)" })];
  if (link.edge.label) {
    const w = width(link.edge.label, 7) + 3, over = link.via && link.via.length;
    if (over) parts.push(element("rect", { x: lx - w / 2, y: ly - 7, width: w, height: 9, class: "gap" }));
    parts.push(element("text", { x: lx, y: ly, class: "small label", "text-anchor": over ? "middle" : "start" }, link.edge.label));
  }
  return parts;
}

function marker() {
  const defs = element("defs", {}), arrow = element("marker", { id: "arrow", viewBox: "0 0 6 6", refX: 3, refY: 3, markerWidth: 6, markerHeight: 6, orient: "auto" });
  arrow.append(element("path", { d: "M0,0.5 L6,3 L0,5.5 z", style: `fill: ${data.theme.line}; stroke: none` }));
  defs.append(arrow);
  return defs;
}

// --- opening, searching, hovering ----------------------------------------------------------------

function opener(group, key, box) {
  group.classList.add("opens");
  for (const [name, value] of [["tabindex", 0], ["role", "button"], ["aria-expanded", opened.has(key)], ["aria-label", box.label]]) group.setAttribute(name, value);
}
function toggle(key) {
  if (opened.has(key)) for (const one of [...opened]) { if (one === key || one.startsWith(`${key}/`)) opened.delete(one); }
  else opened.add(key);
  draw(false);
}
function openAll(matches) {
  const walk = (items, path, above) => items.forEach(item => {
    const key = `${path}/${item.id}`;
    if (item.items) { walk(item.items, key, above); return; }
    const panel = inner(item);
    if (panel && !above.includes(panel.id) && opened.size < 500 && matches(item, panel)) { opened.add(key); walk(panel.items, key, [...above, panel.id]); }
  });
  for (const id of [data.figure.panels[0].id, ...data.alone]) walk(panels.get(id).items, id, [id]);
}
function says(box, word) {
  return [box.label, box.name, box.detail, box.path, box.settings, ...(box.layers || []), ...(box.strips || []).map(s => s.text)]
    .some(text => (text || "").toLowerCase().includes(word));
}
function seek() {
  const word = search.value.trim().toLowerCase();
  if (word) {
    const within = (panel, seen) => !seen.includes(panel.id) && boxesOf(panel.items).some(box => says(box, word) || (inner(box) && within(inner(box), [...seen, panel.id])));
    openAll((box, panel) => within(panel, []));
  }
  draw(true);
}
function mark() {
  const word = search.value.trim().toLowerCase();
  hits = word ? [...view.querySelectorAll("g.box")].filter(group => says(group.about, word)) : [];
  for (const group of hits) group.classList.add("hit");
  hit = -1;
  found.textContent = word ? `${hits.length} found` : "";
}
function next() {
  if (!hits.length) return;
  hit = (hit + 1) % hits.length;
  const box = hits[hit].getBBox(), w = Math.max(box.width * 3, 150), h = w * view.clientHeight / Math.max(1, view.clientWidth);
  area = { x: box.x + box.width / 2 - w / 2, y: box.y + box.height / 2 - h / 2, w, h };
  look();
}
// What each box reads, by its id; a fork hands on what it reads itself.
const sources = new Map();
for (const panel of data.figure.panels) {
  const known = new Map(boxesOf(panel.items).map(box => [box.id, box]));
  const shapes = (id, seen) => panel.edges.filter(edge => edge.head === id && !seen.includes(id)).flatMap(edge => {
    const tail = known.get(edge.tail);
    return tail && tail.shape ? [tail.shape] : shapes(edge.tail, [...seen, id]);
  });
  for (const id of known.keys()) sources.set(id, shapes(id, []));
}
function about(box) {
  const lines = [box.path || box.name || box.label, box.settings];
  const given = sources.get(box.id) || [];
  if (given.length) lines.push(`input ${given.join(", ")}`);
  if (box.shape) lines.push(`output ${box.shape}`);
  if (box.times > 1) lines.push(`${box.times} times`);
  if (box.layers && box.layers.length > 1) lines.push(`${box.layers.length.toLocaleString("en")} layers`);
  if (box.parameters) lines.push(`${box.parameters.toLocaleString("en")} parameters`);
  if (box.macs) lines.push(`${box.macs.toLocaleString("en")} MACs`);
  return lines.filter(Boolean).join("\n");
}
const boxAt = event => event.target.closest ? event.target.closest("g.box") : null;
view.addEventListener("pointermove", event => {
  const group = boxAt(event);
  tip.hidden = !group || group.about.kind === "point";
  if (tip.hidden) return;
  tip.textContent = about(group.about);
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
});
view.addEventListener("pointerleave", () => { tip.hidden = true; });

// --- looking: drag to pan, wheel to zoom ---------------------------------------------------------

function look() { view.setAttribute("viewBox", `${area.x} ${area.y} ${area.w} ${area.h}`); }
const scale = () => Math.max(area.w / view.clientWidth, area.h / view.clientHeight);
let drag = null;
view.addEventListener("pointerdown", event => { drag = { x: event.clientX, y: event.clientY, moved: false }; });
addEventListener("pointermove", event => {
  if (!drag) return;
  const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
  if (!drag.moved && Math.hypot(dx, dy) < 4) return;
  area = { ...area, x: area.x - dx * scale(), y: area.y - dy * scale() };
  drag = { x: event.clientX, y: event.clientY, moved: true };
  look();
});
addEventListener("pointerup", () => { setTimeout(() => { drag = null; }); });
view.addEventListener("click", event => {
  const group = boxAt(event);
  if (group && group.classList.contains("opens") && !(drag && drag.moved)) toggle(group.dataset.key);
});
view.addEventListener("keydown", event => {
  const group = boxAt(event);
  if (!group || (event.key !== "Enter" && event.key !== " ")) return;
  event.preventDefault();
  toggle(group.dataset.key);
});
view.addEventListener("wheel", event => {
  event.preventDefault();
  const factor = Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * .004), bounds = view.getBoundingClientRect();
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(view.getScreenCTM().inverse());
  if (!bounds.width) return;
  area = { x: point.x - (point.x - area.x) * factor, y: point.y - (point.y - area.y) * factor, w: area.w * factor, h: area.h * factor };
  look();
}, { passive: false });

document.getElementById("fit").onclick = () => { area = { ...drawn }; look(); };
document.getElementById("open").onclick = () => { openAll(() => true); draw(false); };
document.getElementById("close").onclick = () => { opened.clear(); draw(false); };
search.addEventListener("input", seek);
search.addEventListener("keydown", event => { if (event.key === "Enter") next(); });
document.getElementById("name").textContent = data.figure.title || data.figure.name;
for (const [role, name] of data.legend) {
  const entry = document.createElement("span"), swatch = document.createElement("i");
  swatch.style.background = data.fills[role] || data.theme.box;
  if (role === "rewritten") swatch.classList.add(role);
  entry.append(swatch, name);
  document.getElementById("legend").append(entry);
}
draw(false);
