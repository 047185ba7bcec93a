// A place for one file: dropped on it, or chosen. It goes to the kernel in parts, each asked for, so that no message is
// large, what has arrived is known, and it can be stopped.

const PART = 2_000_000;  // bytes; servers of notebooks refuse messages of more than ten million

const told = (words, values) => words.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const megabytes = (bytes) => bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`;

function render({ model, el }) {
  const words = (name) => model.get("words")[name];
  const make = (tag, facts) => Object.assign(document.createElement(tag), facts);
  const place = make("div", { className: "wb-drop" });
  const button = make("button", { type: "button", className: "jupyter-button", textContent: words("label"), title: words("help") });
  const input = make("input", { type: "file", accept: model.get("accept"), hidden: true });
  const said = make("span", { className: "wb-drop-said", textContent: words("drop") });
  said.setAttribute("role", "status");
  const bar = make("progress", { hidden: true, max: 1 });
  bar.setAttribute("aria-label", words("label"));
  const stop = make("button", { type: "button", className: "jupyter-button wb-drop-stop", textContent: "✕", title: words("stop"), hidden: true });
  place.append(button, input, said, bar, stop);
  el.append(place);

  let file = null, sent = 0;
  const idle = (sentence, bad = false) => {
    file = null;
    bar.hidden = stop.hidden = true;
    said.hidden = false;
    said.textContent = sentence;
    said.classList.toggle("wb-bad", bad);
  };
  const offer = (files) => {
    if (!files.length) return;
    const [chosen] = files, facts = { name: chosen.name, size: megabytes(chosen.size), most: megabytes(model.get("most")) };
    const fits = model.get("accept").split(",").some((ending) => chosen.name.toLowerCase().endsWith(ending));
    if (files.length > 1) return idle(words("one"), true);
    if (!fits) return idle(told(words("kind"), { ...facts, accept: model.get("accept").replaceAll(",", ", ") }), true);
    if (chosen.size > model.get("most")) return idle(told(words("large"), facts), true);
    [file, sent] = [chosen, 0];
    bar.hidden = stop.hidden = false;
    said.hidden = true;
    bar.value = 0;
    model.send({ act: "begin", name: file.name, size: file.size });
  };
  const next = async () => {
    const source = file;
    if (!source) return;
    try {
      const part = await source.slice(sent, sent + PART).arrayBuffer();
      if (file !== source) return;
      sent += part.byteLength;
      bar.value = source.size ? sent / source.size : 1;
      model.send({ act: "part" }, undefined, [part]);
    } catch (error) {  // moved, or not ours to read
      model.send({ act: "stop" });
      idle(told(words("unreadable"), { name: source.name }), true);
    }
  };
  const heard = (message) => {
    if (message.say === "next") next();
    if (message.say === "done") idle(`${message.name} · ${megabytes(message.size)}`);
    if (message.say === "refused") idle(message.why, true);
  };

  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    offer(input.files);
    input.value = "";  // so that the same file can be chosen again
  });
  stop.addEventListener("click", () => {
    model.send({ act: "stop" });
    idle(words("drop"));
    button.focus();
  });
  const over = (event) => {
    event.preventDefault();
    place.classList.toggle("wb-over", event.type === "dragover");
    if (event.type === "drop") offer(event.dataTransfer.files);
  };
  for (const kind of ["dragover", "dragleave", "drop"]) place.addEventListener(kind, over);
  model.on("msg:custom", heard);
  if (model.get("held")) said.textContent = model.get("held");
  return () => model.off("msg:custom", heard);
}

export default { render };
