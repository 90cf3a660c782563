// What every interactive part shares: the island of data, the theme, copying, downloads.

/** The report's data, parsed from the page's one JSON island. */
export function readIsland(root) {
  return JSON.parse(root.getElementById("island").textContent);
}

/** An element with attributes and children; text is always text, never markup. */
export function element(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "circle", "line", "text", "g", "rect"].includes(name);
  const made = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/** A value as Python writes it: its names of true and false. */
export function pythonText(value) {
  if (value === true) return "True";
  return value === false ? "False" : String(value);
}

/** A share in [0, 1] as a percentage. */
export function percentText(value, digits = 1) {
  return `${(100 * value).toFixed(digits)}%`;
}

/** Where a value lies between two ends, in [0, 1]; on a log scale if asked. */
export function place(value, low, high, log = false) {
  if (high === low) return 0.5;
  if (log) return Math.log(value / low) / Math.log(high / low);
  return (value - low) / (high - low);
}

/** Make the theme button cycle between light and dark, beginning with the system's. */
export function startTheme(button, root, systemDark) {
  let dark = systemDark;
  const show = () => {
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${dark ? "light" : "dark"} colours`);
  };
  button.addEventListener("click", () => {
    dark = !dark;
    root.dataset.theme = dark ? "dark" : "light";
    root.dispatchEvent(new CustomEvent("themechange"));
    show();
  });
  show();
}

/** On paper everything is unfolded but the numbers beneath figures, and colours are those of light. */
export function startPrinting(root) {
  let before;
  const show = (theme) => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    root.dispatchEvent(new CustomEvent("themechange"));
  };
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    show("light");
    for (const closed of root.querySelectorAll("details:not([open], .numbers)")) closed.open = true;
  });
  addEventListener("afterprint", () => show(before));
}

/** Copy an element's text when the button is pressed; select it where copying is refused. */
export function startCopy(button, source) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1600);
  });
}

/** Hand text to the reader as a file. */
export function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = element("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
