// What every page has: `/` goes to the search; in a picture, arrow keys go from node to node, to their columns and to what
// shows more; and opening or expanding keeps in place what was there. Without this file all of it still works, by links and
// whole pages.

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    document.getElementById("q").focus();
  }
});

const HEAD = 46; // pixels of a card, open or not, above its columns

const center = (node) => {
  const box = node.getBoundingClientRect();
  return { x: box.x + box.width / 2, y: box.y + Math.min(box.height, HEAD * scale) / 2 };
};

const owner = (node) => node.dataset.node ?? node.dataset.anchor;

// Left and right of a card and of its columns are other cards, and what shows more; not what the same card says below.
const beside = (node, from) =>
  owner(node) !== owner(from) || "more" in node.dataset || (node.matches(".action") && from.matches(".action"));

// The nearest node on that side; a step sideways costs more than one ahead.
const nearest = (nodes, from, key) => {
  const start = center(from);
  const along = key === "ArrowLeft" || key === "ArrowRight" ? "x" : "y";
  const across = along === "x" ? "y" : "x";
  const sign = key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1;
  let best = null;
  for (const node of along === "x" ? nodes.filter((other) => beside(other, from)) : nodes) {
    const place = center(node);
    const ahead = (place[along] - start[along]) * sign;
    const cost = ahead + 2 * Math.abs(place[across] - start[across]);
    if (ahead > 8 && (best === null || cost < best.cost)) best = { node, cost };
  }
  return best?.node;
};

const light = (canvas, id, on) => {
  for (const line of canvas.querySelectorAll("path[data-from]")) {
    line.classList.toggle("lit", on && (line.dataset.from === id || line.dataset.to === id));
  }
};

const show = (canvas, node) => {
  const box = node.getBoundingClientRect();
  const view = canvas.getBoundingClientRect();
  canvas.scrollLeft += box.x + box.width / 2 - (view.x + view.width / 2);
  canvas.scrollTop += box.y + Math.min(box.height, view.height) / 2 - (view.y + view.height / 2);
};

// A picture wider than its frame is drawn smaller, as long as it can be read. What it grows by keeps its scale: nothing moves.
const SMALLEST = 0.6;
let scale = 1;
const fit = (canvas, first) => {
  const svg = canvas.querySelector("svg");
  const { width, height } = svg.viewBox.baseVal;
  const most = parseFloat(getComputedStyle(canvas).maxHeight);
  const tall = "whole" in canvas.dataset && most ? most / height : 1; // a picture of everything is to be seen at one look
  if (first) scale = Math.min(1, Math.max(SMALLEST, Math.min(canvas.clientWidth / width, tall)));
  svg.setAttribute("width", width * scale);
  svg.setAttribute("height", height * scale);
};

const enliven = (canvas, first) => {
  fit(canvas, first);
  const nodes = [...canvas.querySelectorAll("a")];
  const enter = (node) => nodes.forEach((other) => other.setAttribute("tabindex", other === node ? "0" : "-1"));
  // Of a whole pipeline what is delivered comes first; of a trace the prediction, which is last.
  const current = canvas.querySelector("a.card[aria-current]") ?? nodes.at("whole" in canvas.dataset ? 0 : -1);
  if (!current) return;
  enter(current);
  show(canvas, current);
  canvas.addEventListener("enter", (event) => enter(event.detail));
  canvas.addEventListener("keydown", (event) => {
    const from = event.target.closest("a");
    const next = from && event.key.startsWith("Arrow") ? nearest(nodes, from, event.key) : null;
    if (!next) return;
    event.preventDefault();
    enter(next);
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  for (const [start, end] of [["focusin", "focusout"], ["pointerover", "pointerout"]]) {
    canvas.addEventListener(start, (event) => light(canvas, event.target.closest("a.card")?.dataset.node, true));
    canvas.addEventListener(end, (event) => light(canvas, event.target.closest("a.card")?.dataset.node, false));
  }
};

const cards = (within) => [...within.querySelectorAll("a.card")];
const same = (within, id) => cards(within).find((node) => node.dataset.node === id);

// Scroll such that a node stands where another stood; where the picture ends too early for that, leave a margin.
const hold = (canvas, node, before) => {
  const svg = canvas.querySelector("svg");
  const off = () => {
    const now = node.getBoundingClientRect();
    return { x: now.x - before.x, y: now.y - before.y };
  };
  const scroll = () => {
    canvas.scrollLeft += off().x;
    canvas.scrollTop += off().y;
  };
  scroll();
  const { x, y } = off();
  const was = getComputedStyle(svg);
  const side = parseFloat(was.marginLeft);
  svg.style.marginLeft = `${Math.max(0, side - x)}px`;
  svg.style.marginRight = `${Math.max(0, x - side)}px`;
  scroll();
  scrollBy(0, y);
  svg.style.marginTop = `${Math.max(0, -off().y)}px`;
};

// The same page with another picture: replace the graph, and scroll such that the node that was used stays where it is on
// the screen.
const replace = async (href, push, link) => {
  const old = document.querySelector("[data-graph]");
  old.setAttribute("aria-busy", "true");
  const answer = await fetch(href, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("[data-graph]");
  if (!answer.ok || !fresh) {
    location.assign(href);
    return;
  }
  const { anchor, expand, column, more } = link?.dataset ?? {};
  const used = anchor ?? old.querySelector("a.card[aria-current]")?.dataset.node;
  const before = same(old, used)?.querySelector("rect").getBoundingClientRect();
  old.replaceWith(fresh);
  document.querySelector(".head").replaceWith(page.querySelector(".head"));
  if (push) history.pushState({}, "", href);
  const canvas = fresh.querySelector("[data-canvas]");
  enliven(canvas, false);
  const node = same(fresh, used)?.querySelector("rect");
  if (before && node) hold(canvas, node, before);
  if (!link) return;
  const again = [...fresh.querySelectorAll("a")].find((other) =>
    other.dataset.anchor === anchor && other.dataset.column === column && other.dataset.more === more && other.dataset.expand === expand);
  const next = (anchor || expand ? again : null) ?? same(fresh, used);
  if (next?.closest("[data-canvas]")) canvas.dispatchEvent(new CustomEvent("enter", { detail: next }));
  next?.focus({ preventScroll: true });
};

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-keep]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  replace(link.getAttribute("href"), true, link);
});
addEventListener("popstate", () => {
  if (document.querySelector("[data-graph]")) replace(location.href, false);
});

document.querySelectorAll("[data-canvas]").forEach((canvas) => enliven(canvas, true));

// A table that is wider than its place can be scrolled by keyboard, too.
const reachable = () => {
  for (const box of document.querySelectorAll(".scroll, .letter table")) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0;
      if (!box.matches("table")) box.setAttribute("role", "region");
      box.setAttribute("aria-label", `${box.querySelector("th")?.textContent.trim() ?? "Table"}, scrolls sideways`);
    } else for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
  }
};
new ResizeObserver(reachable).observe(document.body);
document.addEventListener("toggle", reachable, true);

document.querySelector("[data-print]")?.addEventListener("click", () => print());
