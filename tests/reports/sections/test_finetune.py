from __future__ import annotations

import re
from dataclasses import replace

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from cars_bench.evaluation.comparison import ClassChange
from cars_bench.finetune.recipe import Recipe
from cars_bench.finetune.run_record import Unfrozen
from cars_bench.reports.sections.finetune import (
    Extremes,
    _top1,
    changed_most,
    curves,
    extremes,
    facts,
    table,
)
from cars_bench.reports.svg import PAPER
from tests.reports.changes import with_record


def _gains(*changes: float) -> tuple[ClassChange, ...]:
    return tuple(ClassChange(f"class {n:02d}", 0.5, 0.5 + c, 4) for n, c in enumerate(changes))


def _with(finished, **fields):
    return facts(with_record(finished, **fields))[0]


def test_the_recipe_names_both_rates_and_all_that_was_left_off(finished):
    training = replace(
        finished.run.record.training, backbone_rate=0.3, label_smoothing=0.1, averaging=0.99
    )
    found = dict(_with(finished, training=training).facts)
    assert found["Learning rate of the head"] == "0.0001"
    assert found["Learning rate of the backbone"] == "3e-05, 0.3 of the head's"
    assert (found["Label smoothing"], found["Averaging of the weights"]) == ("0.1", "0.99")
    assert found["Batch size"] == "64"
    assert {"Mixup", "Cutmix", "Weight decay", "Clipping of gradients"} <= {
        name for name, value in found.items() if value == "off"
    }


def test_weight_decay_is_off_for_an_optimizer_that_ignores_it(finished):
    training = replace(finished.run.record.training, weight_decay=0.02)
    assert dict(_with(finished, training=training).facts)["Weight decay"] == "off"
    training = replace(training, optimizer="adamw")
    assert dict(_with(finished, training=training).facts)["Weight decay"] == "0.02"


def test_the_second_cache_is_described_from_its_manifest(finished):
    cached = with_record(finished, boundary_cache_key="b89f")
    found = facts(replace(cached, boundaries={"b89f": finished.manifest}))[0]
    boundary = dict(found.boundary)
    assert (boundary["Output of"], boundary["Key"]) == ("conv2", "b89f")
    assert boundary["Augmentation"] == "none (plain view only)"
    assert boundary["Records"] == "90"
    assert dict(found.facts)["Trained on"] == "cached activations of the boundary"


def test_a_second_cache_that_was_deleted_is_described_from_the_run(finished):
    recipe = Recipe(live=False, views=4, augment="strong")
    found = _with(finished, boundary_cache_key="b89f", recipe=recipe)
    assert dict(found.boundary) == {
        "Output of": "conv2",
        "Key": "b89f",
        "Views of a training image": "4",
        "Augmentation": "strong",
    }


def test_a_live_run_says_so_and_has_no_second_cache(finished):
    found = _with(finished, recipe=Recipe(live=True, views=4, augment="light"), epochs=3)
    assert found.boundary == ()
    assert dict(found.facts)["Trained on"] == "live images, augmented anew each time (light)"


def test_a_run_without_epochs_was_trained_on_nothing(finished):
    assert "Trained on" not in dict(_with(finished, epochs=0).facts)


def test_the_curves_name_both_rates_and_what_was_unfrozen(finished):
    run = facts(finished)[0]
    assert run.unfrozen == "conv3"
    drawn = curves(replace(run, backbone_rate=0.3), 0)
    assert "conv3 unfrozen" in drawn
    assert ">head<" in drawn
    assert ">backbone, × 0.3<" in drawn
    assert drawn.count("<svg") == 3


def test_nothing_is_marked_where_only_the_head_was_trained(finished):
    run = _with(finished, unfreeze=Unfrozen("none", None, (), 1))
    assert run.unfrozen == ""
    assert "backbone" not in curves(run, 0)


def test_the_page_can_tell_training_from_the_whole_run(finished):
    run = _with(finished, training_seconds=843.1, seconds=1132.1)
    assert (run.training_seconds, run.seconds) == (843.1, 1132.1)


def test_an_arbitrary_choice_among_ties_is_told():
    found = extremes(_gains(0.5, 0.3, 0.1 + 0.1, 0.2, 0.2), 3)
    assert (len(found.shown), found.tied, found.of) == (3, 1, 3)
    assert found.note == "1 of 3 tied at +20 points"


@pytest.mark.parametrize("count", [2, 5])
def test_nothing_is_told_where_no_tie_is_cut(count):
    assert extremes(_gains(0.5, 0.3), count).note == ""
    assert extremes((), count) == Extremes((), 0, 0)


def test_the_chart_of_gains_holds_whole_names_and_tells_the_ties():
    long = "Chevrolet Silverado 1500 Classic Extended Cab 2007"
    drawn = changed_most((ClassChange(long, 0.0, 0.5, 7), *_gains(0.25, 0.25)), count=2)["gains"]
    words = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert set(long.split()) <= set(" ".join(words).split())
    assert "1 of 2 tied at +25 points" in " ".join(words)


def test_the_chart_of_gains_fits_a_phone_without_scrolling():
    drawn = changed_most(_gains(0.5, 0.25, -0.25))["gains"]
    assert float(re.findall(r'viewBox="0 0 ([\d.]+)', drawn)[0]) < 358


def test_what_fine_tuning_changed_has_a_heading_of_its_own_before_the_ranks(section):
    said = section("finetune")
    assert said.index("What fine-tuning changed") < said.index("McNemar")
    assert said.index("McNemar") < said.index("Does the rank on the cache")


def test_the_kept_epoch_is_marked(report):
    names = [row[0] for row in table(report.runs, ())["run0"].rows]
    assert [name for name in names if "★" in name] == ["9 ★"]


def test_the_label_of_what_was_unfrozen_is_not_struck_through(finished):
    axes = Figure().add_subplot()
    _top1(axes, facts(finished)[0])
    (label,) = axes.texts
    ground = label.get_bbox_patch()
    assert to_hex(ground.get_facecolor()) == PAPER
    assert all(label.get_zorder() > line.get_zorder() for line in axes.lines)
