// The search box: completes qualifiers word by word. A combobox, as ARIA has it.

let go;

export function connectSearch(goTo) {
  go = goTo;
  const form = document.querySelector("[data-search='']");
  if (!form || form.dataset.connected) return;
  form.dataset.connected = "true";
  const box = form.elements.q;
  const list = form.querySelector("[role=listbox]");
  const state = { at: -1, found: [] };

  const close = () => {
    list.hidden = true;
    state.at = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };
  const word = () => box.value.slice(0, box.selectionStart).match(/\S*$/)[0];
  const mark = (place) => {
    state.at = place;
    [...list.children].forEach((each, number) => each.setAttribute("aria-selected", String(number === place)));
    if (place < 0) return box.removeAttribute("aria-activedescendant");
    box.setAttribute("aria-activedescendant", list.children[place].id);
    list.children[place].scrollIntoView({ block: "nearest" });
  };
  const open = () => {
    const typed = word().toLowerCase();
    const all = JSON.parse(box.dataset.suggestions);
    state.found = all.filter((each) => each.toLowerCase().startsWith(typed) && each.toLowerCase() !== typed).slice(0, 12);
    if (!state.found.length) return close();
    list.replaceChildren(...state.found.map((text, place) => {
      const item = document.createElement("li");
      item.id = `q-option-${place}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      item.textContent = text;
      return item;
    }));
    list.hidden = false;
    box.setAttribute("aria-expanded", "true");
    mark(-1);
  };
  const take = (place) => {
    const end = box.selectionStart;
    const start = end - word().length;
    const text = state.found[place] + (state.found[place].endsWith(":") ? "" : " ");
    box.setRangeText(text, start, end, "end");
    box.focus();
    open();
  };

  box.addEventListener("input", open);
  box.addEventListener("focus", open);
  box.addEventListener("blur", () => setTimeout(close, 150));
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const place = [...list.children].indexOf(event.target.closest("li"));
    if (place >= 0) take(place);
  });
  box.addEventListener("keydown", (event) => {
    const last = state.found.length - 1;
    if (event.key === "Escape") close();
    else if (list.hidden && event.key === "ArrowDown") open();
    else if (list.hidden) return;
    else if (event.key === "ArrowDown") mark(state.at >= last ? 0 : state.at + 1);
    else if (event.key === "ArrowUp") mark(state.at <= 0 ? last : state.at - 1);
    else if ((event.key === "Enter" || event.key === "Tab") && state.at >= 0) take(state.at);
    else return;
    event.preventDefault();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    close();
    const q = box.value.trim();
    box.blur();
    go(q ? `jobs?q=${encodeURIComponent(q)}` : "jobs");
  });
}
