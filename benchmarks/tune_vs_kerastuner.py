"""`tune` against KerasTuner as its guide writes it, on the same features and the same heads.

The peer reads the same TFRecord shards through tf.data, keeps the parsed
features in memory (`.cache()`, as a good engineer writes it; `--peer parsing`
parses them anew each epoch) and calls `model.fit` in a hypermodel under
RandomSearch.  Both propose the same heads from the same
seed and train each for the same epochs and batches.  The sides run in turn,
each in a process of its own; a side's time is that of its whole search, our
workers' start included, the first import of the libraries not.

    python benchmarks/tune_vs_kerastuner.py
    python benchmarks/tune_vs_kerastuner.py --cache WORKSPACE --trials 12
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from searching import SEED, cache_of, close, in_own_process, parser, prepared, search, write_space

from cars_bench.cache.store import FeatureCache
from cars_bench.workspace import Workspace

CACHED = "cached"
PEERS = (CACHED, "parsing")


def peer_data(cache: FeatureCache, split: str, peer: str) -> Any:
    """The peer's features and labels of a split, from the plain view's shards.

    Args:
        cache: What both sides search on.
        split: `train` or `val`.
        peer: `cached` keeps them in memory after the first epoch, `parsing` does not.
    """
    import tensorflow as tf

    width, dtype = cache.manifest.shape[-1], str(cache.manifest.dtype)

    def parse(record: Any) -> Any:
        features = {
            "feature": tf.io.FixedLenFeature([], tf.string),
            "label": tf.io.FixedLenFeature([], tf.int64),
        }
        found = tf.io.parse_single_example(record, features)
        feature = tf.reshape(tf.io.decode_raw(found["feature"], dtype), [width])
        return tf.cast(feature, tf.float32), found["label"]

    files = [str(cache.folder / entry.file) for entry in cache.manifest.select(split, 0)]
    parsed = tf.data.TFRecordDataset(files).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    return parsed.cache() if peer == CACHED else parsed


def theirs(workspace: Workspace, space: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of one search of KerasTuner's, and the heads it trained."""
    import keras
    import keras_tuner
    import tensorflow as tf

    from cars_bench.tuning.oracles import declared
    from cars_bench.tuning.space import load_space

    cache = cache_of(workspace)
    width, classes = cache.manifest.shape[-1], len(cache.manifest.class_names)
    train = peer_data(cache, "train", arguments.peer)
    train = train.shuffle(10_000, seed=SEED).batch(arguments.batch).prefetch(tf.data.AUTOTUNE)
    val = peer_data(cache, "val", arguments.peer).batch(arguments.batch)
    val = val.prefetch(tf.data.AUTOTUNE)

    def build(parameters: keras_tuner.HyperParameters) -> keras.Model:
        values = parameters.values
        model = keras.Sequential([keras.Input((width,))])
        if values["depth"]:
            model.add(keras.layers.Dense(values["units_1"], activation="relu"))
            model.add(keras.layers.Dropout(values["dropout"]))
        model.add(keras.layers.Dense(classes))
        model.compile(
            keras.optimizers.Adam(values["learning_rate"]),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model

    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.RandomSearch(
            build,
            objective="val_accuracy",
            max_trials=arguments.trials,
            seed=SEED + 1,
            hyperparameters=declared(load_space(str(space))),
            directory=folder,
        )
        begun = time.time()
        tuner.search(train, validation_data=val, epochs=arguments.epochs, verbose=0)
        seconds = time.time() - begun
        order = [tuner.oracle.trials[name] for name in tuner.oracle.start_order]
    heads = [trial.hyperparameters.values for trial in order]
    epochs = arguments.epochs * len(order)
    best = max(trial.score for trial in order)
    return {"seconds": seconds, "epochs": epochs, "heads": heads, "best": best}


def asked() -> argparse.ArgumentParser:
    """What the command line may say."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--trials", type=int, default=8)
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--workers", type=int)
    options.add_argument("--backend", default="jax", help="ours; the peer runs on TensorFlow")
    options.add_argument(
        "--peer", choices=PEERS, default=CACHED, help="keeps its features, or parses them anew"
    )
    options.add_argument("--side", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    options.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    return options


def main() -> None:
    """Measure both sides in turn, or be one of them."""
    arguments = asked().parse_args()
    if arguments.side:
        side = search if arguments.side == "ours" else theirs
        close(side(Workspace(arguments.root), arguments.root / "space.yaml", arguments))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepared(root, arguments)
        write_space(root / "space.yaml", arguments)
        rounds = []
        for number in range(arguments.rounds):
            one = in_own_process(__file__, arguments.backend, root, "--side", "ours")
            other = in_own_process(__file__, "tensorflow", root, "--side", "theirs")
            rounds.append((one, other))
            print(
                f"round {number + 1}: ours {one['seconds'] / one['epochs']:.3f} s a trial-epoch, "
                f"KerasTuner {other['seconds'] / other['epochs']:.3f}",
                file=sys.stderr,
            )
    ours_seconds, their_seconds = (
        statistics.median(pair[side]["seconds"] / pair[side]["epochs"] for pair in rounds)
        for side in (0, 1)
    )
    first, second = rounds[0]
    close(
        {
            "ratio": round(their_seconds / ours_seconds, 2),
            "ours_seconds_a_trial_epoch": round(ours_seconds, 4),
            "kerastuner_seconds_a_trial_epoch": round(their_seconds, 4),
            "same_heads": first["heads"] == second["heads"],
            "best_val_top1": {"ours": first["best"], "kerastuner": second["best"]},
            "trials": arguments.trials,
            "epochs": arguments.epochs,
            "batch": arguments.batch,
            "rounds": arguments.rounds,
            "backend": arguments.backend,
            "peer": arguments.peer,
        }
    )


if __name__ == "__main__":
    main()
