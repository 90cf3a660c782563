"""Search spaces: the shipped ones parse, bad ones are refused by line and field.

Covers cars_bench/tuning/hyperparameters.py, cars_bench/tuning/space_entries.py.
"""

from __future__ import annotations

import json

import pytest

from cars_bench.documents import shipped
from cars_bench.errors import UsageError
from cars_bench.tuning.hyperparameters import specs_of
from cars_bench.tuning.oracles import Proposer
from cars_bench.tuning.space import (
    FOLDER,
    PACKAGE,
    load_space,
    parse_space,
    space_in,
    space_of,
)
from cars_bench.yaml_text import parse_yaml

WIDE = {
    "normalisation", "activation", "label_smoothing", "loss", "epsilon", "schedule", "sampling",
    "views", "mixup", "noise",
}  # fmt: skip


def test_the_shipped_spaces_are_the_documented_ones():
    assert shipped(PACKAGE, FOLDER) == ["default", "quick", "wide"]
    assert {item.name for item in load_space("wide").hyperparameters} >= WIDE


@pytest.mark.parametrize("name", shipped(PACKAGE, FOLDER))
def test_every_proposal_of_a_shipped_space_is_a_valid_spec(name):
    space = load_space(name)
    proposer = Proposer(space, "random", 0, 30)
    for number in range(40):
        values = proposer.propose(f"t{number:04d}")
        head, training = specs_of({**space.fixed, **values})
        assert len(head.layers) == values["depth"]
        assert training.epochs == space.fixed["epochs"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("  dropout: {type: float, min: 0.9, max: 0.1}", ("line 3", "dropout", "min 0.9")),
        ("  dropout: {type: float, min: 0, max: 7}", ("line 3", "dropout", "7")),
        ("  droput: {type: float, min: 0, max: 0.5}", ("line 3", "droput")),
        ("  dropout: {type: floaty, min: 0, max: 0.5}", ("line 3", "dropout", "type")),
        ("  dropout: 0.5", ("line 3", "dropout")),
        ("  dropout: {type: float, max: 0.5}", ("line 3", "dropout", "min")),
        ("  dropout: {type: float, min: zero, max: 0.5}", ("line 3", "dropout", "min")),
        ("  l2: {type: float, min: 0, max: 1, log: true}", ("line 3", "l2", "min above 0")),
        ("  batch_size: {type: int, min: 0, max: 64}", ("line 3", "batch_size", "0")),
        ("  batch_size: {type: int, min: 8, max: 64, step: -8}", ("line 3", "batch_size", "step")),
        ("  optimizer: {type: choice, values: [adam, lion]}", ("line 3", "optimizer", "lion")),
        ("  optimizer: {type: choice, values: []}", ("line 3", "optimizer", "values")),
        ("  units_1: {type: int, min: 8, max: 9, when: {layers: 1}}", ("line 3", "layers")),
        ("  units_1: {type: int, min: 8, max: 9, when: 1}", ("line 3", "when")),
        ("  units_1: {type: int, min: 8, max: 9, above: 1}", ("line 3", "above")),
        ("  dropout: {type: float, min: 0, max: .nan}", ("line 3", "dropout")),
        ("  dropout: {type: float, min: 0, max: .inf}", ("line 3", "dropout")),
        ("  : [", ("line", "YAML")),
    ],
)
def test_a_bad_field_is_refused_by_line_and_name(line, words):
    text = f"hyperparameters:\n  depth: {{type: int, min: 0, max: 1}}\n{line}\n"
    with pytest.raises(UsageError) as caught:
        parse_space(text, "mine.yaml")
    for word in ("mine.yaml", *words):
        assert word in caught.value.message


@pytest.mark.parametrize(
    "text", ["", "- a\n", "hyperparameters: 3\n", "fixed: {wrong: 1}\nhyperparameters: {}\n",
             "name: x\nunknown: 1\nhyperparameters: {}\n"],
)  # fmt: skip
def test_a_file_of_another_shape_is_refused(text):
    with pytest.raises(UsageError, match="mine"):
        parse_space(text, "mine.yaml")


def test_a_missing_file_names_the_shipped_spaces():
    with pytest.raises(UsageError) as caught:
        load_space("nowhere.yaml")
    assert "wide" in caught.value.fix


def test_a_field_that_stands_twice_is_refused_by_its_second_line():
    text = "hyperparameters:\n  l2: {type: choice, values: [1]}\n  l2: 3\n"
    with pytest.raises(UsageError, match="line 3: l2 stands there twice"):
        parse_space(text, "mine.yaml")


def test_fixed_values_are_tried_too():
    with pytest.raises(UsageError, match=r"mine\.yaml line 1: fixed: epochs must be at least 1"):
        parse_space("fixed: {epochs: 0}\nhyperparameters: {}\n", "mine.yaml")


@pytest.mark.parametrize("name", shipped(PACKAGE, FOLDER))
def test_a_study_gives_back_the_space_that_it_kept(name):
    space = load_space(name)
    kept = json.loads(json.dumps(space.document))
    assert space_of(kept) == space


FULL = """\
head: {layers: [{units: 64, dropout: 0.5}, {units: 32}], l2: 0.01}
training: {optimizer: sgd, learning_rate: 0.1, epochs: 7, schedule: {kind: step, factor: 2.0}}
"""


def test_a_space_may_hold_head_and_training_in_full_and_vary_nothing():
    space = parse_space(FULL, "mine.yaml")
    head, training = space.specs({})
    assert space.hyperparameters == ()
    assert [layer.units for layer in head.layers] == [64, 32]
    assert (training.optimizer, space.epochs, training.schedule.factor) == ("sgd", 7, 2.0)
    assert space_of(space.document).specs({}) == (head, training)


def test_hyperparameters_vary_what_stands_in_full_and_leave_the_rest():
    text = FULL + "fixed: {epochs: 9}\nhyperparameters:\n  units_2: {type: int, min: 8, max: 9}\n"
    space = parse_space(text, "mine.yaml")
    head, training = space.specs({"units_2": 8, "dropout": 0.1, "schedule": "cosine"})
    assert [(layer.units, layer.dropout) for layer in head.layers] == [(64, 0.1), (8, 0.1)]
    assert head.l2 == 0.01
    assert training.epochs == space.epochs == 9
    assert (training.schedule.kind, training.schedule.factor) == ("cosine", 2.0)
    deeper, _ = space.specs({"depth": 3})
    assert len(deeper.layers) == 3


@pytest.mark.parametrize(
    ("text", "words", "fix"),
    [
        ("name: x\nhead: {layer: []}\n", ("line 2", "layer"), "did you mean layers"),
        ("head: {}\ntraining:\n  epochs: 0\n", ("line 3", "epochs"), "raise"),
        ("head: {}\ntrainin: {}\n", ("line 2", "trainin"), "did you mean training"),
        (FULL + "hyperparameters:\n  units_3: {type: int, min: 8, max: 9}\n",
         ("line 4", "units_3"), "add the layer"),
        ("hyperparameters: {}\nfixed: {epoch: 3}\n", ("line 2", "epoch"), "did you mean epochs"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_full_specs_is_refused_by_line_with_the_nearest_key(text, words, fix):
    with pytest.raises(UsageError) as caught:
        parse_space(text, "mine.yaml")
    for word in ("mine.yaml", *words):
        assert word in caught.value.message
    assert fix in caught.value.fix


def test_a_space_inside_another_file_is_refused_by_the_line_of_that_file():
    file = parse_yaml("a: 1\nlist:\n  - space:\n      head:\n        l3: 0.1\n", "outer.yml")
    with pytest.raises(UsageError, match=r"outer.yml line 5: HeadSpec has no field 'l3'"):
        space_in(file, ("list", "0", "space"))


DENSE = "head: {layers: [{units: 8}]}\n"
PIECEWISE = "training: {schedule: {kind: piecewise}}\n"
MIXUP = "mixup: {type: choice, values: [0.0, 0.2]"
BOX = "box: {type: choice, values: [false, true]}"


def varying(*entries: str, before: str = "") -> str:
    return before + "hyperparameters:\n" + "".join(f"  {entry}\n" for entry in entries)


@pytest.mark.parametrize(
    ("text", "words", "fix"),
    [
        (varying(MIXUP + "}", before="head: {box: true}\n"), ("line 3", "mixed images"), "mixup"),
        (varying(BOX, before="training: {cutmix: 0.5}\n"), ("line 3", "mixed images"), "cutmix"),
        (varying(BOX, MIXUP + "}"), ("line 3", "mixed images"), "leave out the box"),
        (varying(BOX, before="fixed: {mixup: 0.5}\n"), ("line 3", "mixed images"), "mixup"),
        ("head: {box: true}\ntraining:\n  mixup: 0.2\n", ("line 3", "mixed images"), "mixup"),
    ],
)
def test_boxes_and_mixed_images_are_refused_where_any_trial_would_have_both(text, words, fix):
    with pytest.raises(UsageError) as caught:
        parse_space(text, "mine.yaml")
    for word in ("mine.yaml", *words):
        assert word in caught.value.message
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("values", "before"),
    [("[false]", ""), ("[false]", "head: {box: true}\n"), ("[false]", "fixed: {box: true}\n")],
)
def test_boxes_and_mixed_images_may_be_varied_where_they_exclude_each_other(values, before):
    text = varying(BOX, f"{MIXUP}, when: {{box: {values}}}}}", before=before)
    space = parse_space(text)
    assert space.has_boxes
    assert space.specs({"box": False, "mixup": 0.2})[1].mixup == 0.2


RATE = "learning_rate: {type: float, min: 0.001, max: 0.01}"
OPTIMIZER = "optimizer: {type: choice, values: [adam, sgd]}"
MOMENTUM = "momentum: {type: choice, values: [0.8, 0.9]"


@pytest.mark.parametrize(
    ("entries", "before", "words", "fix"),
    [
        ([RATE], PIECEWISE, "learning_rate changes nothing: the piecewise", "another kind"),
        (["sgd_" + RATE], PIECEWISE, "sgd_learning_rate changes nothing", "leave it out"),
        (["schedule: {type: choice, values: [piecewise]}", RATE],
         "training: {schedule: {kind: step}}\n", "learning_rate changes nothing", "another"),
        (["dropout: {type: float, min: 0, max: 0.5}"], "head: {}\n", "dropout changes", "layer"),
        (["activation: {type: choice, values: [relu]}"], "head: {}\n", "activation", "depth"),
        (["batch_norm: {type: choice, values: [true]}"], "", "batch_norm changes", "depth"),
        (["units_1: {type: int, min: 8, max: 9}"], "", "units_1 changes nothing", "depth"),
        (["units_2: {type: int, min: 8, max: 9}"], DENSE, "units_2 changes nothing", "layer"),
        (["dropout: {type: float, min: 0, max: 0.5}"], "fixed: {depth: 0}\n", "dropout", "depth"),
        ([MOMENTUM + "}"], "", "momentum changes nothing: it is of the optimizer sgd", "sgd"),
        (["focal_gamma: {type: choice, values: [1.0]}"], "", "focal_gamma changes", "loss focal"),
        (["box_weight: {type: choice, values: [0.5]}"], "", "box_weight changes", "box: true"),
        ([OPTIMIZER, MOMENTUM + ", when: {optimizer: adam}}"], "", "momentum changes", "leave"),
    ],
)  # fmt: skip
def test_a_hyperparameter_that_no_trial_reads_is_refused(entries, before, words, fix):
    with pytest.raises(UsageError) as caught:
        parse_space(varying(*entries, before=before), "mine.yaml")
    line = before.count("\n") + 1 + len(entries)
    assert caught.value.message.startswith(f"mine.yaml line {line}: {words}")
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("entries", "before"),
    [
        ([RATE, "schedule: {type: choice, values: [piecewise]}"], ""),
        ([RATE, "schedule: {type: choice, values: [piecewise, step]}"], PIECEWISE),
        (["dropout: {type: float, min: 0, max: 0.5}"], DENSE),
        (["depth: {type: int, min: 0, max: 3}", "units_2: {type: int, min: 8, max: 9, when: "
          "{depth: [2, x]}}"], ""),
        (["units_2: {type: int, min: 8, max: 9}"], "fixed: {depth: 2}\n"),
        ([OPTIMIZER, MOMENTUM + ", when: {optimizer: sgd}}"], ""),
        ([BOX, "box_weight: {type: choice, values: [0.5, 1.0]}"], ""),
    ],
)  # fmt: skip
def test_what_some_trial_reads_is_taken(entries, before):
    assert len(parse_space(varying(*entries, before=before)).hyperparameters) == len(entries)


def test_a_study_that_varied_in_vain_still_opens():
    assert space_of({"head": {}, "hyperparameters": {"dropout": {"type": "choice", "values": [0]}}})


def test_a_training_alone_is_one_trial_of_a_linear_head():
    space = parse_space("training: {epochs: 3}\n")
    head, training = space.specs({})
    assert (space.hyperparameters, head.describe(), training.epochs) == ((), "linear", 3)


def test_a_file_of_nothing_says_what_a_space_may_hold():
    with pytest.raises(UsageError, match="hyperparameters is missing") as caught:
        parse_space("name: x\n", "mine.yaml")
    assert "a head or a training in full" in caught.value.fix


def test_every_layer_of_a_deep_head_is_kept():
    layers = ", ".join("{units: 8}" for _ in range(10))
    head, _ = parse_space(f"head: {{layers: [{layers}]}}\n").specs({})
    assert len(head.layers) == 10
