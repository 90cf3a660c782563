"""From features to heads: `tune`, and what is there already."""

from __future__ import annotations

from cars_bench.api.places import StrPath, place_of, whole
from cars_bench.cache.store import FeatureCache, holds_maps
from cars_bench.finetune.runs import frozen_test_top1
from cars_bench.keras_backend import fastest_first, load_keras, wanted
from cars_bench.progress import for_stream
from cars_bench.results.data import CacheResult
from cars_bench.results.study import StudyResult
from cars_bench.tracking.follow import tracked
from cars_bench.tuning.study import Study


def tune(
    *,
    trials: int = 100,
    oracle: str = "random",
    space: str = "default",
    epochs: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    repeats: int = 3,
    refit: str = "",
    study: str | None = None,
    cache: str | None = None,
    track: str | None = None,
    workspace: StrPath | None = None,
    quiet: bool = False,
) -> StudyResult:
    """Search dense heads on the cached features; again, it goes on where it stopped.

    Args:
        trials: The study's total.
        oracle: `random`, `bayesian`, `hyperband` or `grid`.
        space: `default`, `wide`, `quick`, or a YAML file.
        epochs: Upper bound a trial; by default the space's.
        seed: Of the oracle and the trials.
        workers: Processes that train; by default one a core, up to four.
        repeats: New seeds that the best five are trained again with.
        refit: `train+val` trains the winner on both, for its chosen epochs.
        study: Name; by default one for the cache.
        cache: Start of a cache's key; by default the last one.
        track: `tensorboard[:FOLDER]` or `mlflow[:ADDRESS or FOLDER]` shows it there.
        workspace: Folder with `cache/`, `tuning/` and `reports/`.
        quiet: No progress.

    Raises:
        CacheMissing: Nothing was extracted.
        NoTrialCompleted: Not one trial ended well.
        UsageError: A value that cannot be, or another one than the study was begun with.
    """
    numbers = whole(trials=trials, epochs=epochs, seed=seed, workers=workers, repeats=repeats)
    place = place_of(workspace)
    progress = for_stream(quiet)
    backend = wanted(*fastest_first(holds_maps(place, cache)))
    load_keras(progress, "tensorflow", backend)
    from cars_bench.tuning.search import TuneOptions
    from cars_bench.tuning.search import tune as run

    options = TuneOptions(
        **numbers,
        oracle=oracle,
        space=space,
        study=study,
        cache=cache,
        refit=refit,
        backend=backend,
    )
    with tracked(track, place, progress) as follow:
        found = run(place, options, progress, frozen_test_top1, follow)
    return StudyResult(place, found.study)


def open_study(study: str | None = None, *, workspace: StrPath | None = None) -> StudyResult:
    """A study, by default the last one made or used.

    Raises:
        StudyMissing: There is none.
    """
    place = place_of(workspace)
    return StudyResult(place, Study.open(place, study))


def open_cache(cache: str | None = None, *, workspace: StrPath | None = None) -> CacheResult:
    """A feature cache by the start of its key, by default the last one made or used.

    Raises:
        CacheMissing: There is none.
        CacheStale: Its dataset has changed since.
    """
    return CacheResult(FeatureCache.open(place_of(workspace), cache))
