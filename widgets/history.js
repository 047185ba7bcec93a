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

  const rows = () => [...list.children];
  const mark = () => {
    const chosen = model.get("chosen");
    for (const row of rows()) {
      const mine = Number(row.dataset.number) === chosen;
      row.setAttribute("aria-selected", mine);
      row.tabIndex = mine ? 0 : -1;
      if (mine) row.scrollIntoView({ block: "nearest" });
    }
    if (chosen < 0 && list.firstChild) list.firstChild.tabIndex = 0;
  };
  const choose = (row) => {
    if (!row) return;
    model.set("chosen", Number(row.dataset.number));
    model.save_changes();
    row.focus();
  };
  const draw = () => {
    list.setAttribute("aria-label", model.get("name"));
    list.replaceChildren(
      ...model.get("rows").map((facts) => {
        const row = document.createElement("li");
        row.setAttribute("role", "treeitem");
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
    const all = rows(), at = all.indexOf(event.target);
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
