"use strict";
/* A list that is filtered, and shown ten rows at a time: by buttons, and by arrows and "/" on the keyboard.

   rows: () => all there are; fits: () => (row) => whether it is wanted;
   show: (rows, place of the first) => puts these in; top: id of what a lower button scrolls to.
   Gives what is to be called when there are other rows. */
const paged = ({ rows, fits, show, filters, search, top }) => {
  const PAGE = 10;
  const many = (number) => number.toLocaleString("en");
  let found = [];
  let page = 0;

  function draw() {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(0, page), pages - 1);
    const from = page * PAGE;
    const shown = found.slice(from, from + PAGE);
    show(shown, from);
    const all = rows().length;
    document.getElementById("found").textContent = found.length
      ? `${many(from + 1)}–${many(from + shown.length)} of ${many(found.length)}`
        + (found.length < all ? ` that fit (of ${many(all)})` : "")
      : `None of ${many(all)} fits.`;
    for (const nav of document.querySelectorAll(".paging")) {
      nav.hidden = pages === 1;
      nav.querySelector("[data-where]").textContent = `Page ${page + 1} of ${pages}`;
      nav.querySelector("[data-step='-1']").disabled = page === 0;
      nav.querySelector("[data-step='1']").disabled = page === pages - 1;
    }
  }

  function filter() {
    found = rows().filter(fits());
    page = 0;
    draw();
  }

  function turn(step, fromBelow) {
    page += step;
    draw();
    if (fromBelow) document.getElementById(top).scrollIntoView();
  }

  document.querySelector(".controls").hidden = false;
  document.querySelector(".keys").hidden = false;
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  for (const control of filters) control.addEventListener("change", filter);
  search.addEventListener("input", filter);
  document.querySelectorAll(".paging").forEach((nav, place) => nav.addEventListener("click", (event) => {
    const button = event.target.closest("[data-step]");
    if (button) turn(Number(button.dataset.step), place === 1);
  }));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, .wide")) return;
    if (event.key === "ArrowRight") turn(1, false);
    else if (event.key === "ArrowLeft") turn(-1, false);
    else if (event.key === "/") search.focus();
    else return;
    event.preventDefault();
  });
  return filter;
};
