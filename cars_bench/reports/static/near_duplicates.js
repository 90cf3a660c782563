// The closest pairs across the split: a slider over what the page already shows.

/** How many of all are shown, in words. */
export function shownText(shown, all) {
  return `${shown} of ${all} shown`;
}

/** Let the slider of `holder` hide the pairs that are less alike than it says. */
export function startNearDuplicates(holder) {
  const pairs = [...holder.querySelectorAll("[data-number]")];
  const [slider, output] = [holder.querySelector("input[type=range]"), holder.querySelector("output")];
  const update = () => {
    for (const pair of pairs) pair.hidden = Number(pair.dataset.number) < Number(slider.value);
    output.textContent = Number(slider.value).toFixed(3);
    holder.querySelector("[role=status]").textContent = shownText(pairs.filter((pair) => !pair.hidden).length, pairs.length);
  };
  slider.addEventListener("input", update);
  update();
}
