from __future__ import annotations

from cars_bench.data.detection import DetectionSummary
from cars_bench.reports.sections.data import facts, figure
from tests.detectors.seeing import crop
from tests.reports.changes import with_card
from tests.reports.pages import page_of


def test_counts_by_class_and_split_add_up(finished):
    found = facts(finished)
    assert found is not None
    assert found.splits == {"train": 42, "val": 18, "test": 30}
    assert sum(row.total for row in found.classes) == found.images == 90
    assert found.quarantined[0][1] == "it is HTML"


def test_a_detectors_boxes_are_counted_and_drawn(finished):
    found = DetectionSummary(
        crop=crop(classes=("red",)),
        found=88,
        not_found=2,
        median_share=0.42,
        classes={"red": 88},
        compared=90,
        mean_iou=0.8125,
    )
    inputs = with_card(finished, crop="detector", detection=found)
    report = facts(inputs)
    told = dict(report.facts)
    assert told["Detector"] == "colours:v1"
    assert told["Taken"] == "the largest of red, score 0.3 or more"
    assert told["Boxes found"] == "88"
    assert told["Taken whole"] == "2"
    assert told["Median share of the picture"] == "42.0%"
    assert told["Mean IoU with the source's boxes"] == "0.81 over 90 images"
    drawn = figure(inputs, report)
    assert set(drawn) == set(report.boxed)
    assert len(drawn) == 12
    assert 'alt="' + report.boxed[0] + ", with the box" in page_of(inputs)


def test_boxes_of_the_labels_need_no_pictures(finished):
    report = facts(finished)
    assert figure(finished, report) == {}
