// The trials as a tree of rows: arrows, Home and End move, each move chooses.

const part = (name, text, parent) => {
  const made = Object.assign(document.createElement("span"), { className: `wb-row-${name}`, textContent: text });
  parent.append(made);
  return made;
};

function render({ model, el }) {
  const list = Object.assign(document.createElement("ul"), { className: "wb-rows" });
  list.setAttribute("role", "tree");
  el.append(list);

  let byNumber = new Map(), marked;
  const mark = () => {
    const row = byNumber.get(model.get("chosen"));
    for (const old of [marked, list.firstChild]) {
      old?.setAttribute("aria-selected", false);
      if (old) old.tabIndex = -1;
    }
    row?.setAttribute("aria-selected", true);
    if (row ?? list.firstChild) (row ?? list.firstChild).tabIndex = 0;
    row?.scrollIntoView({ block: "nearest" });
    marked = row;
  };
  const choose = (row) => {
    if (!row) return;
    model.set("chosen", Number(row.dataset.number));
    model.save_changes();
    row.focus();
  };
  const draw = () => {
    list.setAttribute("aria-label", model.get("name"));
    byNumber = new Map();
    list.replaceChildren(
      ...model.get("rows").map((facts) => {
        const row = document.createElement("li");
        row.setAttribute("role", "treeitem");
        row.setAttribute("aria-selected", false);
        row.tabIndex = -1;
        byNumber.set(facts.number, row);
        row.setAttribute("aria-level", facts.level + 1);
        row.dataset.number = facts.number;
        row.classList.toggle("wb-row-failed", facts.failed);
        row.style.setProperty("--level", Math.min(facts.level, 6));
        row.title = [facts.recipe, facts.note].filter(Boolean).join("\n");
        part("dot", "", row).style.background = facts.color;
        part("number", facts.number, row);
        part("title", facts.title + (facts.note ? " ✎" : ""), row);
        if (facts.star) part("star", "★", row);
        facts.facts.forEach((fact) => part("fact", fact, row));
        row.onclick = () => choose(row);
        return row;
      }),
    );
    mark();
  };
  list.onkeydown = (event) => {
    const all = [...list.children], at = all.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(all[to]);
  };
  model.on("change:rows change:name", draw);
  model.on("change:chosen", mark);
  draw();
}

export default { render };
