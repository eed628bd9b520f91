// What every page has: `/` goes to the search; in a picture, arrow keys go from node to node, and expanding keeps in place
// what was there. Without this file all of it still works, by links and whole pages.

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    document.getElementById("q").focus();
  }
});

const center = (node) => {
  const box = node.getBoundingClientRect();
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
};

// The nearest node on that side; a step sideways costs more than one ahead.
const nearest = (nodes, from, key) => {
  const start = center(from);
  const along = key === "ArrowLeft" || key === "ArrowRight" ? "x" : "y";
  const across = along === "x" ? "y" : "x";
  const sign = key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1;
  let best = null;
  for (const node of nodes) {
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
  canvas.scrollTop += box.y + box.height / 2 - (view.y + view.height / 2);
};

const enliven = (canvas) => {
  const nodes = [...canvas.querySelectorAll("a.card")];
  const enter = (node) => nodes.forEach((other) => other.setAttribute("tabindex", other === node ? "0" : "-1"));
  const current = nodes.find((node) => node.hasAttribute("aria-current")) ?? nodes.at(-1);
  if (!current) return;
  enter(current);
  show(canvas, current);
  canvas.addEventListener("keydown", (event) => {
    const from = event.target.closest("a.card");
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

// The same page with more in it: replace the graph, and scroll such that the focus stays where it is on the screen.
const replace = async (href, push, side) => {
  const old = document.querySelector("[data-graph]");
  old.setAttribute("aria-busy", "true");
  const answer = await fetch(href, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("[data-graph]");
  if (!answer.ok || !fresh) {
    location.assign(href);
    return;
  }
  const place = (within) => within.querySelector("a.card[aria-current]")?.getBoundingClientRect();
  const before = place(old);
  old.replaceWith(fresh);
  document.querySelector(".head").replaceWith(page.querySelector(".head"));
  if (push) history.pushState({}, "", href);
  const canvas = fresh.querySelector("[data-canvas]");
  enliven(canvas);
  const after = place(fresh);
  if (before && after) {
    canvas.scrollLeft += after.x - before.x;
    canvas.scrollTop += after.y - before.y;
  }
  (fresh.querySelector(`[data-expand="${side}"]`) ?? canvas.querySelector('a.card[tabindex="0"]'))?.focus({ preventScroll: true });
};

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-keep]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  replace(link.getAttribute("href"), true, link.dataset.expand);
});
addEventListener("popstate", () => {
  if (document.querySelector("[data-graph]")) replace(location.href, false);
});

document.querySelectorAll("[data-canvas]").forEach(enliven);
