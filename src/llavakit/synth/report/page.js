"use strict";
(() => {
  const PAGE = 10;
  const at = (id) => document.getElementById(id);
  const [show, kind, search, list] = ["show", "kind", "search", "list"].map(at);
  if (!list) return;
  const cards = [...list.children].map((node) => ({ node, text: node.textContent.toLowerCase() }));
  const state = { found: cards, page: 0 };
  const many = (number) => number.toLocaleString("en");

  function draw() {
    const pages = Math.max(1, Math.ceil(state.found.length / PAGE));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const from = state.page * PAGE;
    const shown = new Set(state.found.slice(from, from + PAGE));
    for (const card of cards) card.node.hidden = !shown.has(card);
    at("found").textContent = state.found.length
      ? `${many(from + 1)}–${many(from + shown.size)} of ${many(state.found.length)}`
        + (state.found.length < cards.length ? ` that fit (of ${many(cards.length)})` : "")
      : `None of ${many(cards.length)} fits.`;
    for (const nav of document.querySelectorAll(".paging")) {
      nav.hidden = pages === 1;
      nav.querySelector("[data-where]").textContent = `Page ${state.page + 1} of ${pages}`;
      nav.querySelector("[data-step='-1']").disabled = state.page === 0;
      nav.querySelector("[data-step='1']").disabled = state.page === pages - 1;
    }
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    state.found = cards.filter(({ node, text }) =>
      (kind.value === "" || node.dataset.kind === kind.value)
      && (show.value === "" || node.dataset.show === show.value || node.dataset.show.startsWith(`${show.value} `))
      && words.every((word) => text.includes(word)));
    state.page = 0;
    draw();
  }

  function turn(step, fromBelow) {
    state.page += step;
    draw();
    if (fromBelow) at("rows").scrollIntoView();
  }

  document.querySelector(".controls").hidden = false;
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  for (const control of [show, kind]) control.addEventListener("change", filter);
  search.addEventListener("input", filter);
  document.querySelectorAll(".paging").forEach((nav, place) => nav.addEventListener("click", (event) => {
    const button = event.target.closest("[data-step]");
    if (button) turn(Number(button.dataset.step), place === 1);
  }));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, .wide")) return;
    if (event.key === "ArrowRight") turn(1, false);
    else if (event.key === "ArrowLeft") turn(-1, false);
    else if (event.key === "/") search.focus();
    else return;
    event.preventDefault();
  });
  document.querySelector(".keys").hidden = false;
  filter(); // a browser may remember what was chosen over a reload
})();
