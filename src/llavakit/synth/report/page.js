(() => {
  const at = (id) => document.getElementById(id);
  const [show, kind, search, list] = ["show", "kind", "search", "list"].map(at);
  if (!list) return;
  const cards = [...list.children].map((node) => ({ node, text: node.textContent.toLowerCase() }));

  function fits() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return ({ node, text }) =>
      (kind.value === "" || node.dataset.kind === kind.value)
      && (show.value === "" || node.dataset.show === show.value || node.dataset.show.startsWith(`${show.value} `))
      && words.every((word) => text.includes(word));
  }

  const filter = paged({
    rows: () => cards,
    fits,
    show: (rows) => {
      const shown = new Set(rows);
      for (const card of cards) card.node.hidden = !shown.has(card);
    },
    filters: [show, kind],
    search,
    top: "rows",
  });
  filter(); // a browser may remember what was chosen over a reload
})();
