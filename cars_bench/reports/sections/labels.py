"""Which labels are suspect: those that the features contradict, the most contradicted first."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.evaluation.label_check import Suspect, suspects
from cars_bench.reports.image_features import ImageFeatures
from cars_bench.reports.inputs import Inputs


@dataclass(frozen=True, kw_only=True)
class SuspectLabel:
    """One image whose label is probably wrong; probabilities are out of sample, 0 to 1.

    Attributes:
        image_id: The image.
        split: Where it stands.
        given: Its label.
        suggested: The class that it looks like.
        probability: Of `suggested`.
        given_probability: Of `given`.
        confident: Confident learning calls it an error; else it is likelier than not one.
    """

    image_id: str
    split: str
    given: str
    suggested: str
    probability: float
    given_probability: float
    confident: bool


@dataclass(frozen=True, kw_only=True)
class LabelFacts:
    """The labels that a classifier of all other images contradicts.

    Attributes:
        images: Labels judged.
        agreeing: Share of them that the classifier would have given too.
        confident: How many confident learning calls wrong.
        suspects: What is contradicted, the most contradicted first.
    """

    images: int
    agreeing: float
    confident: int
    suspects: tuple[SuspectLabel, ...]


def facts(inputs: Inputs) -> LabelFacts | None:
    """Judge every label by its image's features; `None` where there are none to learn from."""
    features = inputs.features
    said = inputs.out_of_sample
    if features is None or said is None:
        return None
    found = suspects(said.probabilities, features.labels)
    return LabelFacts(
        images=len(features.labels),
        agreeing=float((said.probabilities.argmax(axis=1) == features.labels).mean()),
        confident=sum(item.confident for item in found),
        suspects=tuple(_named(inputs, features, item) for item in found),
    )


def _named(inputs: Inputs, features: ImageFeatures, item: Suspect) -> SuspectLabel:
    names = inputs.class_names
    return SuspectLabel(
        image_id=features.image_ids[item.row],
        split=features.splits[item.row],
        given=names[item.given],
        suggested=names[item.suggested],
        probability=item.probability,
        given_probability=item.given_probability,
        confident=item.confident,
    )
