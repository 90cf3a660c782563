// File names under the pictures: each is a button that copies the file's path.
import { element } from "./core.js";

/** Copy a text; where the clipboard is refused, the older way; whether it was copied. */
async function copyText(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(shown);
    return document.execCommand("copy");
  }
}

/** A line at the foot of the window that says what was copied, or holds the path to copy by hand. */
export function copyNote() {
  const words = element("span");
  const path = element("code");
  const note = element("p", { role: "status", class: "note" }, words, " ", path);
  let timer = 0;
  return {
    note,
    async copy(text) {
      path.textContent = text;
      note.classList.add("shown");
      const copied = await copyText(text, path);
      if (copied) getSelection().removeAllRanges();
      words.textContent = copied ? "Copied" : "Selected, copy it with the keyboard:";
      clearTimeout(timer);
      timer = setTimeout(() => note.classList.remove("shown"), copied ? 2500 : 20000);
    },
  };
}

function fileButton(holder, copy) {
  const button = element("button", { type: "button", class: "file", title: `Copy ${holder.dataset.path}` });
  button.append(...holder.childNodes);
  button.addEventListener("click", () => copy(holder.dataset.path));
  holder.replaceChildren(button);
  holder.classList.remove("file");
  return button;
}

/** The place after a step among `count`, round and round. */
export function stepped(at, step, count) {
  return (at + step + count) % count;
}

/** Wake the names of a group: one stop of the Tab key, within it the arrow keys. */
export function startFiles(group, copy) {
  const buttons = [...group.querySelectorAll(".file")].map((holder) => fileButton(holder, copy));
  const reach = (chosen) => {
    for (const button of buttons) button.tabIndex = !chosen || button === chosen ? 0 : -1;
  };
  group.addEventListener("focusin", (event) => buttons.includes(event.target) && reach(event.target));
  group.addEventListener("focusout", (event) => buttons.includes(event.relatedTarget) || reach(null));
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const shown = buttons.filter((button) => button.offsetParent !== null);
    const at = shown.indexOf(event.target);
    if (!step || at < 0) return;
    event.preventDefault();
    shown[stepped(at, step, shown.length)].focus();
  });
}
