"""`finetune`, `evaluate` and `predict` from Python: the commands' numbers, as tables.

Covers cars_bench/results/model.py, cars_bench/results/evaluation.py.
Covers cars_bench/results/prediction.py, cars_bench/results/scores.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import cars_bench
from cars_bench.cli.evaluate import evaluate
from cars_bench.cli.session import Session
from cars_bench.errors import InputError, UsageError
from cars_bench.evaluation.predictions import Prediction, Predictions, read_predictions
from cars_bench.results.evaluation import EvaluationResult
from cars_bench.results.prediction import PredictionResult

HOSTILE = '</td><script>alert("1")</script>'


@pytest.fixture
def model(finished):
    (found,) = cars_bench.open_study(workspace=finished.root).models()
    return found


def test_a_finished_run_is_given_back_with_its_scores(finished, recipe, model):
    again = cars_bench.finetune(best=True, recipe=str(recipe), workspace=finished.root, quiet=True)
    assert again.run == model.run
    scores = again.scores().set_index(["stage", "split"])
    for stage in ("frozen", "finetuned"):
        for split in ("val", "test"):
            recorded = again.run.score(stage, split)
            row = scores.loc[(stage, split)]
            assert (row["top1"], row["top1_low"], row["top1_high"], row["n"]) == (
                recorded.top1.value, recorded.top1.low, recorded.top1.high, recorded.n
            )  # fmt: skip
    assert len(again.curves()) == again.run.record.epochs
    assert f"{again.run.score('finetuned', 'test').top1.value:.1%}" in again._repr_html_()


def test_evaluate_tells_what_the_command_tells(finished, capsys):
    found = cars_bench.evaluate(split="val", workspace=finished.root, quiet=True)
    capsys.readouterr()
    session = Session(finished, json_output=True, quiet=True)
    assert session.run(lambda: evaluate(session, split="val")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.pop("schema_version")
    assert json.loads(json.dumps(found.document)) == document
    top1 = document["finetuned"]["val"]["top1"]
    row = found.scores().set_index("stage").loc["finetuned"]
    assert (row["top1"], row["top1_low"], row["top1_high"]) == tuple(top1.values())
    classes = found.classes()
    assert classes["class"].tolist() == ["bar", "cross", "disc", "square"]
    recalls = [row["value"] for row in document["measures"]["finetuned"]["classes"]]
    assert classes["recall"].tolist() == recalls
    assert len(found.confused()) == len(document["measures"]["finetuned"]["confused"])


@pytest.mark.parametrize("stage", ["frozen", "finetuned"])
def test_errors_are_the_wrong_answers_with_their_pictures(model, stage):
    errors = model.errors("test", stage)
    answers = model.run.table(stage, "test")
    assert len(errors) == (~answers.correct).sum()
    assert errors["probability"].is_monotonic_decreasing
    assert all(Path(path).is_file() for path in errors["path"])
    assert (errors["true"] != errors["predicted"]).all()


def test_errors_of_a_split_that_was_not_measured_say_how_to_measure_it(model):
    with pytest.raises(InputError, match="no predictions"):
        model.errors("train")


def test_predictions_are_those_of_the_csv(finished, model, tmp_path):
    photos = finished.root / "source" / "images"
    asked = {"workspace": finished.root, "quiet": True}
    found = cars_bench.predict(photos, output=tmp_path / "out.csv", **asked)
    assert found.answers == read_predictions(tmp_path / "out.csv")
    table = found.table()
    written = pd.read_csv(tmp_path / "out.csv").drop(columns="true")
    pd.testing.assert_frame_equal(table, written, check_dtype=False)  # of four classes, no fifth
    for given in (photos, str(photos), [photos]):
        pd.testing.assert_frame_equal(table, model.predict(given, quiet=True))
    assert "predictions of 60 images" in found._repr_html_()
    assert found.output == tmp_path / "out.csv"


def test_what_cannot_be_read_is_named(finished, tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    found = cars_bench.predict(tmp_path / "empty.png", workspace=finished.root, quiet=True)
    assert list(found.unreadable) == ["empty.png"]
    assert "unreadable: empty.png" in found._repr_html_()
    assert found.table().empty


@pytest.mark.parametrize(
    ("options", "said"),
    [({}, "which head"), ({"best": True, "trial": "t0000"}, "which head"),
     ({"best": True, "refit": "test"}, "refit 'test'"), ({"top": 0}, "--top 0")],
)  # fmt: skip
def test_heads_that_do_not_go_together_are_refused(options, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        cars_bench.finetune(**options, workspace=tmp_path)


def test_no_name_becomes_html():
    row = Prediction(image_id=HOSTILE, true="", answers=(HOSTILE,), probabilities=(1.0,))
    found = PredictionResult(
        answers=Predictions((row,)), unreadable={HOSTILE: HOSTILE}, warnings=(HOSTILE,),
        temperature=1.0, found=None, whole=None, output=None,
    )  # fmt: skip
    score = {"value": 0.5, "low": 0.4, "high": 0.6}
    scores = {HOSTILE: {"top1": score, "top5": score, "n": 9}}
    judged = EvaluationResult({"model": HOSTILE, "frozen": scores, "finetuned": {}})
    for shown in (found._repr_html_(), judged._repr_html_()):
        assert "<script" not in shown
        assert "&lt;script&gt;" in shown
