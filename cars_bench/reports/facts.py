"""Everything a report says, as plain data: computed here, drawn and laid out elsewhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from cars_bench import SCHEMA_VERSION, __version__
from cars_bench.reports.features import FeatureFacts, feature_facts
from cars_bench.reports.fidelity import FidelityFacts, fidelity_facts
from cars_bench.reports.finish import RunFacts, run_facts
from cars_bench.reports.importance import ImportanceFacts, importance_facts
from cars_bench.reports.inputs import Json, Sources
from cars_bench.reports.looks import LookFacts, look_facts
from cars_bench.reports.mistakes import MistakeFacts, mistake_facts
from cars_bench.reports.optimism import Optimism, optimism
from cars_bench.reports.ranks import RankFacts, rank_facts
from cars_bench.reports.reproduce import Reproduce, reproduce
from cars_bench.reports.search import SearchFacts, search_facts
from cars_bench.reports.tables import CacheFacts, DataFacts, cache_facts, data_facts
from cars_bench.reports.verdict import Verdict, verdict
from cars_bench.reports.winner import WinnerFacts, winner_facts


@dataclass(frozen=True)
class Report:
    """Everything a report says, as plain data; `report.json` is this."""

    title: str
    verdict: Verdict
    reproduce: Reproduce
    data: DataFacts | None
    cache: CacheFacts | None
    features: FeatureFacts | None
    search: SearchFacts | None
    importance: ImportanceFacts | None
    winner: WinnerFacts | None
    optimism: Optimism | None
    runs: tuple[RunFacts, ...]
    ranks: RankFacts | None
    mistakes: MistakeFacts | None
    looks: LookFacts | None
    fidelity: FidelityFacts | None

    def to_json(self) -> Json:
        """Plain JSON values."""
        return {"schema_version": SCHEMA_VERSION, "cars_bench": __version__} | asdict(self)


def gather(sources: Sources) -> Report:
    """Compute every fact of the report, without drawing anything."""
    name = sources.dataset.name if sources.dataset else "workspace"
    search = search_facts(sources)
    return Report(
        title=sources.study_name or name,
        verdict=verdict(sources),
        reproduce=reproduce(sources),
        data=data_facts(sources),
        cache=cache_facts(sources),
        features=feature_facts(sources),
        search=search,
        importance=importance_facts(search),
        winner=winner_facts(sources),
        optimism=optimism(sources),
        runs=run_facts(sources),
        ranks=rank_facts(sources),
        mistakes=mistake_facts(sources),
        looks=look_facts(sources),
        fidelity=fidelity_facts(sources),
    )
