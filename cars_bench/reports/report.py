"""Everything a report says, as plain data: each section's facts, and their tables as CSV."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from cars_bench import SCHEMA_VERSION, __version__
from cars_bench.evaluation.confusion import MutualPair
from cars_bench.progress import printable
from cars_bench.reports.inputs import Inputs, Json
from cars_bench.reports.reproduce import Reproduce, reproduce
from cars_bench.reports.sections import (
    boxes,
    cache_fidelity,
    class_counts,
    data,
    errors,
    features,
    fidelity,
    finetune,
    finished_model,
    hyperparameters,
    labels,
    looks,
    near_duplicates,
    ranks,
    sampling,
    search,
    verdict,
    winner,
)
from cars_bench.reports.sections.boxes import BoxFacts
from cars_bench.reports.sections.cache_fidelity import CacheFidelityFacts
from cars_bench.reports.sections.class_counts import CountFacts
from cars_bench.reports.sections.data import DataFacts
from cars_bench.reports.sections.errors import MistakeFacts
from cars_bench.reports.sections.features import CacheFacts, FeatureFacts
from cars_bench.reports.sections.fidelity import FidelityFacts
from cars_bench.reports.sections.finetune import RunFacts
from cars_bench.reports.sections.finished_model import ModelFacts
from cars_bench.reports.sections.hyperparameters import ImportanceFacts
from cars_bench.reports.sections.labels import LabelFacts
from cars_bench.reports.sections.looks import LookFacts
from cars_bench.reports.sections.near_duplicates import NearDuplicate, NearDuplicateFacts
from cars_bench.reports.sections.ranks import RankFacts
from cars_bench.reports.sections.sampling import SamplingFacts
from cars_bench.reports.sections.search import SearchFacts, TrialRow
from cars_bench.reports.sections.verdict import Verdict
from cars_bench.reports.sections.winner import Optimism, WinnerFacts
from cars_bench.tables import write_table


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything a report says, as plain data; `report.json` is this.

    `study_digest` is of the study that it was made of, as `finetune/reported` tells it.
    """

    title: str
    verdict: Verdict
    reproduce: Reproduce
    data: DataFacts | None
    labels: LabelFacts | None
    cache: CacheFacts | None
    features: FeatureFacts | None
    near_duplicates: NearDuplicateFacts | None
    search: SearchFacts | None
    importance: ImportanceFacts | None
    sampling: SamplingFacts | None
    winner: WinnerFacts | None
    optimism: Optimism | None
    runs: tuple[RunFacts, ...]
    model: ModelFacts | None
    ranks: RankFacts | None
    cache_fidelity: CacheFidelityFacts | None
    mistakes: MistakeFacts | None
    counts: CountFacts | None
    looks: LookFacts | None
    boxes: BoxFacts | None
    fidelity: FidelityFacts | None
    study_digest: str

    def to_json(self) -> Json:
        """Plain JSON values."""
        return {"schema_version": SCHEMA_VERSION, "cars_bench": __version__} | asdict(self)


def gather(inputs: Inputs) -> Report:
    """Compute every fact of the report, without drawing anything."""
    name = inputs.dataset.name if inputs.dataset else "workspace"
    searched = search.facts(inputs)
    twins = near_duplicates.facts(inputs)
    return Report(
        title=inputs.study.name if inputs.study else name,
        verdict=verdict.facts(inputs, twins.seen if twins else ()),
        reproduce=reproduce(inputs),
        data=data.facts(inputs),
        labels=labels.facts(inputs),
        cache=features.card(inputs),
        features=features.facts(inputs),
        near_duplicates=twins,
        search=searched,
        importance=hyperparameters.facts(searched.varied) if searched else None,
        sampling=sampling.facts(inputs),
        winner=winner.facts(inputs),
        optimism=winner.optimism(inputs),
        runs=finetune.facts(inputs),
        model=finished_model.facts(inputs),
        ranks=ranks.facts(inputs),
        cache_fidelity=cache_fidelity.facts(inputs),
        mistakes=errors.facts(inputs),
        counts=class_counts.facts(inputs),
        looks=looks.facts(inputs),
        boxes=boxes.facts(inputs),
        fidelity=fidelity.facts(inputs),
        study_digest=inputs.study_digest,
    )


def write_tables(folder: Path, report: Report) -> None:
    """Write the numbers of the tables as CSV, one file a table."""
    if report.search:
        _write_csv(folder / "trials.csv", trial_columns(report.search))
    if report.data:
        _write_csv(folder / "classes.csv", [asdict(row) for row in report.data.classes])
    if report.labels and report.labels.suspects:
        _write_csv(folder / "suspect-labels.csv", [asdict(row) for row in report.labels.suspects])
    if report.near_duplicates:
        _write_csv(folder / "near-duplicates.csv", [_both(p) for p in report.near_duplicates.pairs])
    if report.mistakes:
        _write_csv(folder / "confusions.csv", [_pair(pair) for pair in report.mistakes.pairs])


def trial_columns(search: SearchFacts) -> list[Json]:
    """The leaderboard as a table of plain numbers, one row a trial or probe."""
    return [_flat(row) for row in search.rows]


def _flat(row: TrialRow) -> Json:
    """A leaderboard row without its nested specs; its hyperparameters as columns."""
    nested = ("values", "head_spec", "training_spec", "curve")
    kept = {name: value for name, value in asdict(row).items() if name not in nested}
    return kept | {f"value.{name}": value for name, value in row.values.items()}


def _pair(pair: MutualPair) -> Json:
    return {
        "true": pair.true,
        "predicted": pair.predicted,
        "count": pair.count,
        "back": pair.back,
        "of": pair.of,
        "images": " ".join(pair.images),
    }


def _both(pair: NearDuplicate) -> Json:
    sides = {"first": pair.first, "second": pair.second}
    named = {f"{side}_{name}": v for side, of in sides.items() for name, v in asdict(of).items()}
    return named | {"cosine": pair.cosine, "same_file": pair.same_file}


def _write_csv(path: Path, rows: list[Json]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    write_table(path, names, ([_cell(row.get(name, "")) for name in names] for row in rows))


def _cell(value: object) -> object:
    return printable(value) if isinstance(value, str) else value
