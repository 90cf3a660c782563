// The gallery of errors and the near-duplicates across the split: filters over what the page already shows.
import { matches } from "./filter.js";

/** Whether a card passes: words in its text, and a probability of at least `least`. */
export function cardPasses(text, probability, query, least) {
  return matches(text, query) && probability >= least;
}

/** Let the fields of `holder` filter its cards by words and by a number. */
export function startGallery(holder) {
  const cards = [...holder.querySelectorAll("[data-number]")];
  const [find, slider] = [holder.querySelector("input[type=search]"), holder.querySelector("input[type=range]")];
  const [output, status] = [holder.querySelector("output"), holder.querySelector("[role=status]")];
  const update = () => {
    const least = Number(slider.value);
    for (const card of cards) {
      card.hidden = !cardPasses(card.textContent, Number(card.dataset.number), find?.value.trim() ?? "", least);
    }
    output.textContent = least.toFixed(2);
    status.textContent = `${cards.filter((card) => !card.hidden).length} shown`;
  };
  for (const input of [find, slider]) input?.addEventListener("input", update);
  update();
}
