"""Mixed precision is refused where a processor has no bfloat16, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import keras
import pytest

from cars_bench.errors import UsageError
from cars_bench.finetune import speed
from cars_bench.finetune.precision import require_precision
from cars_bench.finetune.recipe import Recipe
from cars_bench.training.specs import TrainingSpec

MIXED = Recipe(training=TrainingSpec(mixed_precision=True))


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """A file in place of the system's, empty at first; and no GPU."""
    path = tmp_path / "cpuinfo"
    path.write_text("")
    monkeypatch.setattr(speed, "CPUINFO", path)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind=None: [])
    return path


def test_a_processor_without_it_is_named_with_the_setting_to_change(processor):
    processor.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n")
    with pytest.raises(UsageError, match="no bfloat16") as caught:
        require_precision(MIXED)
    assert "mixed_precision: false" in caught.value.fix
    require_precision(replace(MIXED, training=TrainingSpec()))


@pytest.mark.parametrize(
    "said", ["flags : fpu avx512_bf16", "flags : amx_bf16 fpu", "", "model : x"]
)
def test_one_that_has_it_or_does_not_say_goes_on(processor, said):
    processor.write_text(said)
    require_precision(MIXED)


def test_a_system_that_tells_nothing_goes_on(processor):
    processor.unlink()
    require_precision(MIXED)


def test_on_a_gpu_nothing_is_asked(processor, monkeypatch):
    processor.write_text("flags : fpu avx2")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind=None: ["gpu:0"])
    require_precision(MIXED)
