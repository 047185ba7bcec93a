// What only the browser knows or can do. One of these is in every page, and shows nothing itself.

const lab = () => !document.querySelector("#rendered_cells");  // Voila puts a page there
const system = matchMedia("(prefers-color-scheme: dark)");

function isDark(wish) {
  if (wish) return wish === "dark";
  return document.body.dataset.jpThemeLight === "false" || (!lab() && system.matches);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // not a secure address: the old way
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

// The handles of sliders and the bars of progress have no names of their own.
function nameHandles(root) {
  for (const slider of root.querySelectorAll("[role=slider]:not([aria-label]), [role=progressbar]:not([aria-label])")) {
    const label = slider.closest(".jupyter-widgets")?.querySelector(".widget-label")?.textContent;
    slider.setAttribute("aria-label", label || slider.closest("[data-name]")?.dataset.name || "progress");
  }
  for (const row of root.querySelectorAll(".wb-scroll:not([tabindex])")) row.tabIndex = 0;
}

function render({ model, el }) {
  el.style.display = "none";
  const root = () => el.closest(".wb-app");
  const paint = () => {
    const dark = isDark(model.get("wish"));
    root()?.classList.toggle("wb-dark", dark);
    if (!lab()) {
      document.body.classList.add("wb-alone");
      document.body.classList.toggle("wb-dark-page", dark);
    }
    if (model.get("dark") !== dark) {
      model.set("dark", dark);
      model.save_changes();
    }
  };
  const write = () => {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(model.get("address"))) query.set(name, value);
    if (model.get("links")) history.replaceState(null, "", `?${query}`);
  };
  const clicked = async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const from = button.dataset.copy;
    await copy(from === "link" ? location.href : button.closest("section").querySelector(from).textContent);
    const before = button.textContent;
    button.textContent = model.get("copied");
    setTimeout(() => (button.textContent = before), 1500);
  };
  const pressed = (event) => {
    if (event.target.matches?.("input[type=text], textarea") || !(event.ctrlKey || event.metaKey)) return;
    const name = { z: event.shiftKey ? "redo" : "undo", y: "redo", Enter: "run" }[event.key.length > 1 ? event.key : event.key.toLowerCase()];
    const button = name && root()?.querySelector(`.wb-${name}`);
    if (button && !button.disabled) {
      event.preventDefault();
      button.click();
    }
  };
  const themes = new MutationObserver(paint);
  const names = new MutationObserver(() => nameHandles(root() ?? el));
  const start = () => {
    if (!root()) return requestAnimationFrame(start);
    paint();
    nameHandles(root());
    names.observe(root(), { childList: true, subtree: true });
    root().addEventListener("click", clicked);
    root().addEventListener("keydown", pressed);
  };
  start();
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  system.addEventListener("change", paint);
  model.on("change:wish", paint);
  model.on("change:address", write);
  if (model.get("links")) {
    model.set("query", { ...Object.fromEntries(new URLSearchParams(location.search)), read: "yes" });
    model.save_changes();
  }
  return () => {
    themes.disconnect();
    names.disconnect();
    system.removeEventListener("change", paint);
  };
}

export default { render };
