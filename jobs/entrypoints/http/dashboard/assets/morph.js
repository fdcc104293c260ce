// Makes an element like another one by changing as little as it can, so that focus, scroll, selection and what is open
// stay as they are. Elements are paired by id, else by their place among those of their kind.

const KEPT = { DETAILS: ["open"], DIALOG: ["open"], INPUT: ["value", "checked", "aria-expanded"], OPTION: ["selected"] };

export function morph(from, to) {
  morphAttributes(from, to);
  if (from.tagName === "TEXTAREA" || from.tagName === "SELECT" || from.hasAttribute("data-own")) return;
  morphChildren(from, to);
}

function morphAttributes(from, to) {
  const kept = KEPT[from.tagName] ?? [];
  for (const { name, value } of [...to.attributes]) {
    if (!kept.includes(name) && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    if (!kept.includes(name) && !to.hasAttribute(name)) from.removeAttribute(name);
  }
}

function morphChildren(from, to) {
  const byId = new Map([...from.children].filter((each) => each.id).map((each) => [each.id, each]));
  let here = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const found = wanted.id ? byId.get(wanted.id) : here && alike(here, wanted) ? here : null;
    if (!found) {
      from.insertBefore(document.importNode(wanted, true), here);
      continue;
    }
    if (found === here) here = here.nextSibling;
    else from.insertBefore(found, here);
    if (found.nodeType === Node.ELEMENT_NODE) morph(found, wanted);
    else if (found.nodeValue !== wanted.nodeValue) found.nodeValue = wanted.nodeValue;
  }
  while (here) {
    const next = here.nextSibling;
    here.remove();
    here = next;
  }
}

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && !one.id && !other.id;
}
