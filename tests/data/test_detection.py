from __future__ import annotations

from pathlib import Path

import pytest

from cars_bench.data.detection import Detection, DetectorCrop, Picture, iou, summary
from cars_bench.errors import UsageError

PICTURE = Picture(path=Path("a.jpg"), sha256="", width=100, height=80)
CAR = Detection((10, 10, 60, 50), "car", 0.9)
BUS = Detection((0, 0, 100, 80), "bus", 0.8)
FAR_CAR = Detection((70, 10, 80, 18), "car", 0.99)


def rule(**changes: object) -> DetectorCrop:
    return DetectorCrop(**({"detector": "d", "digest": "0"} | changes))


@pytest.mark.parametrize(
    ("asked", "seen", "taken"),
    [
        ({}, [FAR_CAR, CAR, BUS], BUS),
        ({"classes": ("car", "truck")}, [BUS, FAR_CAR, CAR], CAR),
        ({"threshold": 0.95}, [BUS, CAR, FAR_CAR], FAR_CAR),
        ({"classes": ("truck",)}, [BUS, CAR], None),
        ({}, [], None),
        ({}, [Detection((5, 5, 6, 6), "car", 1.0)], None),
        ({}, [CAR, *[FAR_CAR] * 20], CAR),
    ],
    ids=["largest", "of the asked", "sure enough", "none asked", "nothing", "a pixel", "many"],
)
def test_the_largest_box_that_is_taken_is_chosen_whatever_stands_before_it(asked, seen, taken):
    # A well-known script filters the list and then indexes the unfiltered one.
    assert rule(**asked).chosen(seen) == taken


@pytest.mark.parametrize(
    ("margin", "seen", "box"),
    [
        (0, CAR, (10, 10, 60, 50)),
        (0.1, CAR, (5, 6, 65, 54)),
        (0.5, CAR, (0, 0, 85, 70)),
        (0, Detection((9.5, 9.2, 30.1, 40.9), "car", 1.0), (9, 9, 31, 41)),
        (0, Detection((-20, -5, 130, 60), "car", 1.0), (0, 0, 100, 60)),
        (0, Detection((200, 200, 260, 260), "car", 1.0), None),
    ],
)
def test_a_box_is_widened_to_whole_pixels_inside_the_picture(margin, seen, box):
    assert rule(margin=margin).box([seen], PICTURE) == box


@pytest.mark.parametrize("asked", [{"threshold": 0.01}, {"threshold": 1.5}, {"margin": -0.1}])
def test_a_number_out_of_range_is_refused(asked):
    with pytest.raises(UsageError, match=next(iter(asked))):
        rule(**asked)


def test_the_summary_counts_what_was_found_and_holds_it_against_the_sources_boxes():
    seen = [[CAR], [], [BUS], [CAR]]
    own = [(10, 10, 60, 50), (0, 0, 50, 50), None, (10, 10, 60, 30)]
    told = summary(rule(), [PICTURE] * 4, seen, own)
    assert (told.found, told.not_found) == (3, 1)
    assert told.median_share == 0.25
    assert told.classes == {"car": 2, "bus": 1}
    assert told.compared == 3
    assert told.mean_iou == pytest.approx((1 + 0 + 0.5) / 3)
    assert told.lines() == [
        "boxes: found in 3 of 4 images by d (median share of the picture 25%); 1 is taken whole",
        "found: car 2, bus 1",
        "against the source's own boxes: mean IoU 0.50 over 3 images",
    ]


@pytest.mark.parametrize(
    ("seen", "end", "warned"),
    [
        ([[CAR], [CAR]], "25%)", 0),
        ([[CAR], []], "1 is taken whole", 0),
        ([[CAR], [], []], "2 are taken whole", 1),
        ([[]], "in 0 of 1 image by d; 1 is taken whole", 1),
    ],
)
def test_a_detector_that_finds_nothing_in_most_images_is_warned_of(seen, end, warned):
    told = summary(rule(), [PICTURE] * len(seen), seen, [None] * len(seen))
    assert told.lines()[0].endswith(end)
    assert len(told.warnings()) == warned


def test_a_dataset_in_which_nothing_was_found_has_no_shares():
    told = summary(rule(), [PICTURE], [[]], [None])
    assert (told.found, told.median_share, told.mean_iou, told.classes) == (0, None, None, {})


@pytest.mark.parametrize(
    ("other", "value"), [((0, 0, 10, 10), 1), ((5, 0, 15, 10), 1 / 3), ((20, 20, 30, 30), 0)]
)
def test_iou(other, value):
    assert iou((0, 0, 10, 10), other) == pytest.approx(value)
