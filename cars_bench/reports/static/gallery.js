// Galleries of pictures: filters by words, by kind and by a number over what the page already shows.
import { matches } from "./filter.js";

/** Whether a card passes: words in its text, of the kind, and a number of at least `least`. */
export function cardPasses(card, { query = "", kind = "", least = -Infinity }) {
  return matches(card.text, query) && (!kind || card.kind === kind) && card.number >= least;
}

/** How many of all are shown, in words. */
export function shownText(shown, all) {
  return `${shown} of ${all} shown`;
}

/** Digits after the point of a slider's step. */
export function digitsOf(step) {
  return (step.split(".")[1] ?? "").length;
}

/** Let the fields of `holder` filter its cards: a search, a choice of kinds, a slider, as there are. */
export function startGallery(holder) {
  const cards = [...holder.querySelectorAll("[data-number]")];
  const [find, slider, choice] = ["input[type=search]", "input[type=range]", "select"].map((kind) => holder.querySelector(kind));
  const [output, status] = [holder.querySelector("output"), holder.querySelector("[role=status]")];
  const update = () => {
    const asked = { query: find?.value.trim() ?? "", kind: choice?.value ?? "", least: slider ? Number(slider.value) : -Infinity };
    for (const card of cards) {
      const about = { text: card.textContent, kind: card.dataset.kind, number: Number(card.dataset.number) };
      card.hidden = !cardPasses(about, asked);
    }
    if (slider) output.textContent = asked.least.toFixed(digitsOf(slider.step));
    status.textContent = shownText(cards.filter((card) => !card.hidden).length, cards.length);
  };
  for (const input of [find, slider, choice]) input?.addEventListener("input", update);
  update();
}
