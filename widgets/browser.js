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

// Buttons with a sign, handles of sliders, bars of progress, and fields without a label have no names of their own.
function nameHandles(root) {
  for (const slider of root.querySelectorAll("[role=slider]:not([aria-label]), [role=progressbar]:not([aria-label])")) {
    const label = slider.closest(".jupyter-widgets")?.querySelector(".widget-label")?.textContent;
    slider.setAttribute("aria-label", label || slider.closest("[data-name]")?.dataset.name || "progress");
  }
  for (const button of root.querySelectorAll("button[title]:not([aria-label])"))
    if (!/\p{L}/u.test(button.textContent)) button.setAttribute("aria-label", button.title);
  for (const field of root.querySelectorAll("select[title]:not([aria-label]), input[title]:not([aria-label])")) {
    const label = field.labels?.[0];
    if (!label?.textContent.trim() || label.offsetParent === null) field.setAttribute("aria-label", field.title);
  }
  for (const row of root.querySelectorAll(".wb-scroll:not([tabindex])")) row.tabIndex = 0;
}

// Where the lessons are, from a file's name and a heading: beside the server's script in Voila, among the notebooks in
// JupyterLab, if they are in its folder; else nowhere.
async function findLessons() {
  const script = document.querySelector("script[src*='voila/static/bokeh.min.js']");
  if (script) return (file, heading) => script.src.replace("bokeh.min.js", `lessons/${file}.html#${heading}`);
  const { baseUrl } = JSON.parse(document.querySelector("#jupyter-config-data")?.textContent || "{}");
  if (!baseUrl || !lab()) return () => null;
  const found = [];
  for (const folder of ["", "notebooks/"]) {
    const names = found.length ? [] : await fetch(`${baseUrl}api/contents/${folder}?content=1`).then((answer) => answer.json()).catch(() => ({}));
    for (const { path } of names.content ?? []) if (/(^|\/)\d\d-[^/]*\.ipynb$/.test(path)) found.push(path);
    if (!names.content?.some(({ path }) => path === "notebooks")) break;
  }
  return (file, heading) => {
    const path = found.find((path) => path.endsWith(`${file}.ipynb`));
    return path ? `${baseUrl}lab/tree/${path}#${heading}` : null;
  };
}

// Beside each knob, the way to the lesson on it.
let lessons;
async function leadToLessons(root, word) {
  const address = await (lessons ??= findLessons());
  for (const knob of root.querySelectorAll("[class*=wb-why-]:not(.wb-led)")) {
    const [, file, heading] = /wb-why-(\S+)--(\S+)/.exec(knob.className), href = address(file, heading);
    knob.classList.add("wb-led");
    if (!href) continue;
    const label = knob.querySelector(".widget-label, label")?.textContent.trim();
    const link = Object.assign(document.createElement("a"), { className: "wb-why", textContent: "?", target: "_blank", href });
    link.title = word;
    link.setAttribute("aria-label", `${word}: ${label || heading.replaceAll("-", " ")}`);
    knob.append(link);
  }
}

function save(name, kind, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// Whether a node lies below an element, also behind the walls of shadow trees.
function within(element, node) {
  for (; node; node = node.getRootNode().host) if (element.contains(node)) return true;
  return false;
}

// The views of Bokeh's figures below an element of the page.
function figures(panel) {
  const found = [];
  const look = (view) => {
    if (view.model.type === "Figure" && within(panel, view.el)) found.push(view);
    for (const child of view.child_views ?? []) look(child);
  };
  for (const view of Bokeh.index.roots ?? Object.values(Bokeh.index)) look(view);
  return found;
}

function csv(view) {
  const source = view.model.renderers.map((r) => r.data_source.data).find((data) => "recipe" in data && "size" in data);
  const names = ["number", "recipe", "size", "accuracy", "accuracy_low", "accuracy_high", "latency", "latency_low", "latency_high"];
  const cell = (value) => (typeof value === "string" ? `"${value.replaceAll('"', '""')}"` : Number.isNaN(value) ? "" : value);
  const rows = Array.from(source.number, (_, at) => names.map((name) => cell(source[name][at])).join(","));
  return [names.join(","), ...rows, ""].join("\n");
}

function plotTool(button) {
  const panel = button.closest(".wb-plot"), views = figures(panel);
  if (button.dataset.full) document.fullscreenElement ? document.exitFullscreen() : panel.requestFullscreen();
  if (button.dataset.csv) save("trials.csv", "text/csv", csv(views[0]));
  if (button.dataset.svg) for (const view of views)
    save(`${view.model.title.text.toLowerCase().replaceAll(" ", "-")}.svg`, "image/svg+xml", view.export("svg").ctx.get_serialized_svg(true));
}

// While the plots fill the screen they take its height, too.
function stretch() {
  for (const panel of document.querySelectorAll(".wb-plot")) {
    const full = document.fullscreenElement === panel, views = figures(panel);
    if (full && !views.length) setTimeout(stretch, 200); // they are still being drawn
    for (const { model } of views) {
      if (full) panel.dataset.height ??= model.height;
      if (panel.dataset.height) model.height = full ? innerHeight - 80 : Number(panel.dataset.height);
    }
  }
}

function resized() {
  if (document.fullscreenElement) stretch(); // the event of the full screen may come before the window has its size
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
    const tool = event.target.closest?.(".wb-plot-tools button");
    if (tool) plotTool(tool);
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const from = button.dataset.copy;
    await copy(from === "link" ? location.href : button.closest("section").querySelector(from).textContent);
    const before = button.textContent;
    button.textContent = model.get("copied");
    setTimeout(() => (button.textContent = before), 1500);
  };
  const pressed = (event) => {
    const ours = root()?.contains(event.target) || (!lab() && event.target === document.body);  // a button that is drawn anew lets go
    if (!ours) return;
    if (event.target.matches?.("input[type=text], textarea") || !(event.ctrlKey || event.metaKey)) return;
    const name = { z: event.shiftKey ? "redo" : "undo", y: "redo", Enter: "run" }[event.key.length > 1 ? event.key : event.key.toLowerCase()];
    const button = name && root()?.querySelector(`.wb-${name}`);
    if (button && !button.disabled) {
      event.preventDefault();
      button.click();
    }
  };
  const themes = new MutationObserver(paint);
  const name = () => {
    nameHandles(root() ?? el);
    leadToLessons(root() ?? el, model.get("why"));
  };
  let waiting = false;  // of all the changes between two frames, one look is enough
  const names = new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      name();
    });
  });
  const start = () => {
    if (!root()) return requestAnimationFrame(start);
    model.set("seen", model.get("seen") + 1);
    model.save_changes();
    paint();
    name();
    names.observe(root(), { childList: true, subtree: true });
    root().addEventListener("click", clicked);
    document.addEventListener("keydown", pressed);
  };
  start();
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  system.addEventListener("change", paint);
  document.addEventListener("fullscreenchange", stretch);
  window.addEventListener("resize", resized);
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
    document.removeEventListener("fullscreenchange", stretch);
    window.removeEventListener("resize", resized);
    document.removeEventListener("keydown", pressed);
  };
}

export default { render };
