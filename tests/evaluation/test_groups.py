"""Make, body and year from class names; accuracy by group."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.evaluation.groups import (
    UNKNOWN,
    CarName,
    accuracy_by,
    class_groups,
    group_scores,
    parse_name,
)


@pytest.mark.parametrize(
    ("name", "make", "body", "year"),
    [
        ("Audi TTS Coupe 2012", "Audi", "Coupe", "2012"),
        ("AM General Hummer SUV 2000", "AM General", "SUV", "2000"),
        ("Aston Martin V8 Vantage Convertible 2012", "Aston Martin", "Convertible", "2012"),
        ("Land Rover LR2 SUV 2012", "Land Rover", "SUV", "2012"),
        ("Rolls-Royce Phantom Drophead Coupe Convertible 2012", "Rolls-Royce", "Convertible",
         "2012"),
        ("Mercedes-Benz 300-Class Convertible 1993", "Mercedes-Benz", "Convertible", "1993"),
        ("Ram C/V Cargo Van Minivan 2012", "Ram", "Minivan", "2012"),
        ("Ford E-Series Wagon Van 2012", "Ford", "Van", "2012"),
        ("Dodge Dakota Club Cab 2007", "Dodge", "Extended Cab", "2007"),
        ("Ford Ranger SuperCab 2011", "Ford", "Extended Cab", "2011"),
        ("Ford F-450 Super Duty Crew Cab 2012", "Ford", "Crew Cab", "2012"),
        ("Audi 100 Sedan 1994", "Audi", "Sedan", "1994"),
        ("BMW 2002 Coupe 1972", "BMW", "Coupe", "1972"),
        ("Acura TL Type-S 2008", "Acura", UNKNOWN, "2008"),
        ("AM_General_Hummer_SUV_2000", "AM General", "SUV", "2000"),
        ("cat", "cat", UNKNOWN, UNKNOWN),
        ("1", UNKNOWN, UNKNOWN, UNKNOWN),
        ("", UNKNOWN, UNKNOWN, UNKNOWN),
    ],
)  # fmt: skip
def test_names_are_parsed(name, make, body, year):
    assert parse_name(name) == CarName(make, body, year)


@given(st.text())
def test_any_name_is_accepted(name):
    parsed = parse_name(name)
    assert parsed.make
    assert parsed.body


@pytest.mark.realdata
def test_all_real_names_have_a_make_and_a_year(real_cars):
    with (real_cars / "car_dataset_labels.csv").open(encoding="utf-8") as stream:
        names = sorted({row["class"] for row in csv.DictReader(stream)})
    parsed = [parse_name(name) for name in names]
    assert len(names) == 196
    assert len({car.make for car in parsed}) == 49
    assert all(car.year.isdigit() and 1990 < int(car.year) < 2013 for car in parsed)
    bodies = Counter(car.body for car in parsed)
    assert bodies[UNKNOWN] == 14  # names that say no body, such as Acura TL Type-S 2008
    assert bodies["Sedan"] > bodies["Coupe"] > bodies["Wagon"] > 0


CARS = ["Audi S4 Sedan 2012", "Audi TT Coupe 2011", "BMW X5 Sedan 2012", "BMW M3 Coupe 2011"]


def test_accuracy_by_make_lists_the_worst_first():
    names = ["Audi A", "Audi B", "BMW C", "BMW C", "a kit car"]
    makes = {name: name.split()[0] for name in names[:4]}
    scores = accuracy_by(makes, names, np.array([1, 1, 0, 1, 0], bool))
    assert [(row.group, row.accuracy.value, row.n) for row in scores] == [
        ("BMW", 0.5, 2),
        ("Audi", 1.0, 2),
    ]


def test_accuracy_by_refuses_different_lengths():
    with pytest.raises(ValueError, match="shorter"):
        accuracy_by({}, ["a", "b"], np.array([True]))


def test_names_of_cars_tell_make_body_and_year():
    groups = class_groups([*CARS, "Audi R8 GT 2012"])
    assert list(groups) == ["make", "body", "year"]
    assert groups["make"] == {name: name.split()[0] for name in [*CARS, "Audi R8 GT 2012"]}
    assert "Audi R8 GT 2012" not in groups["body"]  # it tells none, and `unknown` is none
    scores = group_scores(["Audi S4 Sedan 2012", "BMW X5 Sedan 2012"], np.array([0, 1]), groups)
    assert [(row.group, row.accuracy.value) for row in scores["make"]] == [("Audi", 0), ("BMW", 1)]
    assert scores.keys() == {"make"}  # those two are of one body type and one year


@pytest.mark.parametrize(
    "names",
    [
        ["American Robin", "American Crow", "Black Tern", "Black Swift"],  # no makes
        [*CARS[:2], "a", "b"],  # half of them tell nothing
        ["Audi S4 Sedan 2012", "BMW X5 SUV 2011", "Opel GT Coupe 2010"],  # every class its own
        ["Van Dyke", "Coupe"],
        [],
    ],
)
def test_names_that_tell_nothing_have_no_groups(names):
    assert class_groups(names) == {}


def test_what_the_user_gave_comes_first_and_replaces_what_names_tell():
    given = {
        "family": {"Audi S4 Sedan 2012": "A", "Audi TT Coupe 2011": "B", "gone": "C"},
        "Year": dict.fromkeys(CARS[:2], "old") | dict.fromkeys(CARS[2:], "new"),
        "one": dict.fromkeys(CARS, "same"),
    }
    groups = class_groups(CARS, given)
    assert list(groups) == ["family", "Year", "make", "body"]
    assert groups["family"] == {"Audi S4 Sedan 2012": "A", "Audi TT Coupe 2011": "B"}


@pytest.mark.realdata
def test_the_real_cars_have_all_three(real_cars):
    with (real_cars / "car_dataset_labels.csv").open(encoding="utf-8") as stream:
        names = sorted({row["class"] for row in csv.DictReader(stream)})
    groups = class_groups(names)
    assert list(groups) == ["make", "body", "year"]
    assert UNKNOWN not in {group for values in groups.values() for group in values.values()}
