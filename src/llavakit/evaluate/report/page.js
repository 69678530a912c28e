(() => {
  const HALF = 0.5; // a mark from which on an answer is taken for right
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const [task, show, category, search] = ["task", "show", "category", "search"].map(at);

  /* Text only ever becomes text: models may answer in HTML. */
  const make = (name, content, kind) => {
    const node = document.createElement(name);
    if (kind) node.className = kind;
    for (const each of [content].flat()) if (each !== null && each !== undefined && each !== "") node.append(each);
    return node;
  };
  const option = (text, value) => {
    const node = make("option", text);
    node.value = value;
    return node;
  };

  const held = () => data.tasks[Number(task.value)];
  const marked = (example) => example.m.filter((mark) => mark !== null);
  const isWrong = (mark) => mark !== null && mark < HALF;
  const KINDS = {
    all: () => true,
    wrong: (example) => example.m.some(isWrong),
    right: (example) => marked(example).length > 0 && !example.m.some(isWrong),
    differ: (example) => {
      const marks = marked(example).map(isWrong);
      return marks.includes(true) && marks.includes(false);
    },
  };

  function fits() {
    const [kind, model] = show.value.split(" ");
    const has = model === undefined ? KINDS[kind] : (example) => isWrong(example.m[Number(model)]);
    const group = category.value === "" ? null : Number(category.value);
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return (example) => {
      if (!has(example) || (group !== null && !example.c.includes(group))) return false;
      if (!words.length) return true;
      example.s ??= [example.i, example.q, example.t, ...example.a.filter((text) => typeof text === "string"),
        ...example.p.map(([name]) => name)].join("\n").toLowerCase();
      return words.every((word) => example.s.includes(word));
    };
  }

  function badge(answer, mark) {
    if (answer === false) return null;
    if (mark === null) return make("span", "not marked", "badge");
    if (mark === 1) return make("span", "✓ right", "badge right");
    if (mark === 0) return make("span", "✗ wrong", "badge wrong");
    return make("span", `${mark < HALF ? "✗" : "✓"} ${mark.toFixed(2)}`, "badge partly");
  }

  function answered(answer, mark) {
    const text = answer === false ? make("span", "not asked", "none")
      : answer === null ? make("span", "no answer", "none")
        : answer === "" ? make("span", "an empty answer", "none") : make("span", answer, "text");
    return make("dd", [badge(answer, mark), text]);
  }

  function pictures(example, chosen) {
    const shown = example.p.map(([name, index], place) => {
      if (index < 0) return make("p", `Picture not in this file: ${name}`, "absent");
      const image = make("img");
      image.src = chosen.pictures[index];
      image.alt = `Picture ${place + 1} of question ${example.i}: ${name}`;
      image.decoding = "async";
      return image;
    });
    if (example.x) shown.push(make("p", `and ${example.x} more pictures`, "absent"));
    return make("div", shown, "pictures");
  }

  function card(example, chosen) {
    const groups = example.c.map((index) => chosen.groups[index]);
    const rows = data.models.flatMap((model, index) => [make("dt", model), answered(example.a[index], example.m[index])]);
    const truth = make("dd", example.t === "" ? make("span", "not in the file", "none") : make("span", example.t, "text"));
    const words = make("div", [
      make("p", [`Question ${example.i}`, ...groups].join(" · "), "about"),
      make("p", example.q, "text question"),
      make("dl", [make("dt", "Truth"), truth, ...rows]),
    ]);
    return make("li", example.p.length ? [pictures(example, chosen), words] : words, example.p.length ? "example" : "example bare");
  }

  function choose() {
    const chosen = held();
    at("held").textContent = chosen.held;
    category.replaceChildren(option("all", ""), ...chosen.groups.map((name, index) => option(name, index)));
    category.disabled = !chosen.groups.length;
    filter();
  }

  for (const box of document.querySelectorAll("[data-shows]")) {
    const drawn = [...document.querySelectorAll("[data-series]")].filter((node) => node.dataset.series === box.dataset.shows);
    const follow = () => drawn.forEach((node) => node.toggleAttribute("hidden", !box.checked));
    box.addEventListener("change", follow);
    follow(); // a browser may remember boxes over a reload
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));

  if (!data.tasks.length) {
    at("held").textContent = "No questions came with these results.";
    return;
  }
  task.replaceChildren(...data.tasks.map((each, index) => option(`${each.name} (${each.examples.length.toLocaleString("en")})`, index)));
  const filter = paged({
    rows: () => held().examples,
    fits,
    show: (rows, from) => {
      at("list").replaceChildren(...rows.map((example) => card(example, held())));
      at("list").start = from + 1;
    },
    filters: [show, category],
    search,
    top: "examples",
  });
  task.addEventListener("change", choose);
  choose();
})();
