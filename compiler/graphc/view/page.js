"use strict";
const items = JSON.parse(document.getElementById("data").textContent);
const facts = document.getElementById("facts");
const search = document.getElementById("search");
const found = document.getElementById("found");
const views = [...document.querySelectorAll(".view")];
const tabs = [...document.querySelectorAll("nav button")];
let kept = null;
let hits = [];
let hit = -1;

// --- Facts ---------------------------------------------------------------------------------------

function add(parent, tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  parent.append(made);
  return made;
}

function tell(element) {
  const item = items[element.dataset.at];
  facts.replaceChildren();
  add(facts, "h3", item.title);
  add(facts, "p", item.what);
  const list = document.createElement("dl");
  for (const [name, value] of item.facts) {
    add(list, "dt", name);
    add(list, "dd", value);
  }
  facts.append(list);
  if (item.where) {
    add(facts, "h3", item.where);
    add(facts, "pre", item.text);
  }
}

function near(element, isNear) {
  const item = items[element.dataset.at];
  const view = element.closest(".view");
  for (const each of view.querySelectorAll(".box")) {
    if (item.origin && items[each.dataset.at].origin === item.origin) each.classList.toggle("near", isNear);
  }
  for (const arrow of element.closest("svg").querySelectorAll(".arrow")) {
    if (arrow.dataset.from === item.id || arrow.dataset.to === item.id) arrow.classList.toggle("near", isNear);
  }
}

function keep(element) {
  if (kept) kept.classList.remove("kept");
  kept = element;
  if (element) {
    element.classList.add("kept");
    tell(element);
  }
}

for (const element of document.querySelectorAll("[data-at]")) {
  element.addEventListener("pointerenter", () => { near(element, true); if (!kept) tell(element); });
  element.addEventListener("pointerleave", () => near(element, false));
  element.addEventListener("focus", () => { near(element, true); if (!kept) tell(element); bring(element); });
  element.addEventListener("blur", () => near(element, false));
  element.addEventListener("click", () => keep(kept === element ? null : element));
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      keep(kept === element ? null : element);
    }
  });
}

// --- Zoom ----------------------------------------------------------------------------------------

const LARGEST = 1.25;
// Below this size only titles can be read, and larger ones.
const FAR = 0.6;
const TINY = 0.15;
const boxes = new Map();

function show(svg, box) {
  boxes.set(svg, box);
  const all = svg.getBoundingClientRect();
  svg.classList.toggle("far", Math.min(all.width / box.width, all.height / box.height) < FAR);
  svg.setAttribute("viewBox", `${box.x} ${box.y} ${box.width} ${box.height}`);
}

function fit(svg) {
  // All of it, and no larger than it is made for.
  const width = Number(svg.dataset.width);
  const height = Number(svg.dataset.height);
  const all = svg.getBoundingClientRect();
  const grown = Math.max(1, Math.min(all.width / width, all.height / height) / LARGEST);
  show(svg, {
    x: (1 - grown) * width / 2, y: (1 - grown) * height / 2, width: width * grown, height: height * grown,
  });
}

function zoom(svg, by, x, y) {
  const box = boxes.get(svg);
  const width = Math.min(Math.max(box.width * by, 120), Number(svg.dataset.width) * 4 + 400);
  const scale = width / box.width;
  show(svg, {
    x: x - (x - box.x) * scale, y: y - (y - box.y) * scale, width, height: box.height * scale,
  });
}

function place(svg, event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return [point.x, point.y];
}

function middle(svg) {
  const box = boxes.get(svg);
  return [box.x + box.width / 2, box.y + box.height / 2];
}

function bring(element, widest = 900) {
  // What is out of sight, or too small to be read, is brought into the middle.
  const svg = element.closest("svg");
  const at = element.getBoundingClientRect();
  const all = svg.getBoundingClientRect();
  if (at.width > 60 && at.left >= all.left && at.right <= all.right && at.top >= all.top && at.bottom <= all.bottom) return;
  if (element.classList.contains("frame")) return;
  const own = element.getBBox();
  const width = Math.min(widest, Number(svg.dataset.width));
  const height = width * all.height / Math.max(all.width, 1);
  show(svg, { x: own.x + own.width / 2 - width / 2, y: own.y + own.height / 2 - height / 2, width, height });
}

function begin(svg) {
  fit(svg);
  const box = boxes.get(svg);
  const all = svg.getBoundingClientRect();
  // Of a large graph the beginning is more to look at than all of it, and of a change what changes first.
  if (all.width && Math.min(all.width / box.width, all.height / box.height) < TINY) {
    bring(svg.querySelector(".box:is(.added, .removed, .changed)") ?? svg.querySelector(".box"), 1600);
  }
}

for (const svg of document.querySelectorAll("svg.picture")) {
  begin(svg);
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(svg, event.deltaY > 0 ? 1.15 : 1 / 1.15, ...place(svg, event));
  }, { passive: false });
  let last = null;
  svg.addEventListener("pointerdown", (event) => {
    if (event.target.closest("[data-at]")) return;
    last = place(svg, event);
    svg.setPointerCapture(event.pointerId);
    svg.classList.add("dragged");
  });
  svg.addEventListener("pointermove", (event) => {
    if (!last) return;
    const [x, y] = place(svg, event);
    const box = boxes.get(svg);
    show(svg, { ...box, x: box.x + last[0] - x, y: box.y + last[1] - y });
  });
  for (const name of ["pointerup", "pointercancel"]) {
    svg.addEventListener(name, () => { last = null; svg.classList.remove("dragged"); });
  }
}

function shown() {
  return views.find((view) => !view.hidden);
}

// --- Search --------------------------------------------------------------------------------------

function seek() {
  const text = search.value.trim().toLowerCase();
  const every = [...shown().querySelectorAll(".box")];
  // What is called so comes first, then what has it in its name, then what tells of it.
  const rank = (each) => {
    const title = items[each.dataset.at].title.toLowerCase();
    return title === text ? 0 : title.includes(text) ? 1 : 2;
  };
  hits = text ? every.filter((each) => items[each.dataset.at].search.includes(text)) : [];
  hits.sort((one, other) => rank(one) - rank(other));
  hit = -1;
  for (const svg of document.querySelectorAll("svg.picture")) svg.classList.toggle("searched", hits.length > 0);
  for (const each of document.querySelectorAll(".box")) each.classList.toggle("hit", hits.includes(each));
  found.textContent = text ? `${hits.length} found` : "";
}

search.addEventListener("input", seek);
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && hits.length) {
    hit = (hit + 1) % hits.length;
    tell(hits[hit]);
    bring(hits[hit]);
  }
});

// --- Predictors and keys -------------------------------------------------------------------------

tabs.forEach((tab, index) => tab.addEventListener("click", () => {
  keep(null);
  tabs.forEach((each, at) => each.setAttribute("aria-selected", String(at === index)));
  views.forEach((view, at) => { view.hidden = at !== index; });
  for (const svg of shown().querySelectorAll("svg.picture")) begin(svg);
  seek();
}));

window.addEventListener("resize", () => {
  for (const svg of shown().querySelectorAll("svg.picture")) begin(svg);
});

const parts = document.getElementById("parts");

function choose() {
  if (!document.querySelector("section.graph")) return;
  for (const view of views) view.dataset.parts = parts.value;
  for (const svg of shown().querySelectorAll("svg.picture")) begin(svg);
}

parts.addEventListener("change", choose);

const help = document.getElementById("help");
help.addEventListener("click", () => {
  const keys = document.getElementById("keys");
  keys.hidden = !keys.hidden;
  help.setAttribute("aria-expanded", String(!keys.hidden));
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    search.value = "";
    seek();
    keep(null);
    search.blur();
    return;
  }
  if (event.target === search || event.target === parts || event.ctrlKey || event.metaKey || event.altKey) return;
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  for (const svg of shown().querySelectorAll("svg.picture")) {
    const box = boxes.get(svg);
    if (event.key === "+" || event.key === "=") zoom(svg, 1 / 1.25, ...middle(svg));
    else if (event.key === "-") zoom(svg, 1.25, ...middle(svg));
    else if (event.key === "0") fit(svg);
    else if (event.key in moves) {
      const [x, y] = moves[event.key];
      show(svg, { ...box, x: box.x + x * box.width / 12, y: box.y + y * box.height / 12 });
      event.preventDefault();
    }
  }
  if (event.key === "v") {
    parts.selectedIndex = (parts.selectedIndex + 1) % parts.options.length;
    choose();
  } else if (event.key === "/") {
    event.preventDefault();
    search.focus();
  }
});
