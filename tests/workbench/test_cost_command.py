"""The options of the cost command, and what it asks of a recipe."""

from types import SimpleNamespace

import pytest

from _support.counted_trainings import blocks
from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.cost_command import CostOptions, cost_command
from vistok.workbench.recipe_config import DataConfig

SUBJECT = "vistok.workbench.cost_command"


@catches(SUBJECT, "variants=variants", "variants=1")
@catches(SUBJECT, "load(options.config, options.set)", "load(options.config, ())")
def test_it_prints_the_tables_and_the_disk_with_flips():
    asked = []

    def load(name, overrides):
        asked.append((name, overrides))
        return SimpleNamespace(data=DataConfig(horizontal_flip=True))

    command = cost_command(load, lambda config, dry_run: [blocks()], lambda config: (10, [256]))["cost"]
    found = command(CostOptions(config="some", set=("a=1",), images=1000, gpus=1))
    assert asked == [("some", ("a=1",))]
    assert "| generator toy |" in found.text
    assert found.text.endswith("Token cache of 1,000 images: 0.0 GB (40 bytes an image).")
    assert [each["name"] for each in found.values["trainings"]] == ["generator toy"]
    assert found.values["trainings"][0]["seconds"] > 0


@catches(SUBJECT, "self.decode_ms / 1e3", "self.decode_ms")
@catches(SUBJECT, "if not 0 < self.utilisation <= 1:", "if False:")
@catches(SUBJECT, "0 <= self.decode_ms < math.inf", "0 <= self.decode_ms")
@catches(SUBJECT, "if not 0 <= self.decode_ms < math.inf", "if self.decode_ms < 0 or self.decode_ms == math.inf")
@catches(SUBJECT, "if getattr(self, name) < 1:", "if getattr(self, name) < 0:")
def test_the_plan_is_what_the_options_say_and_nonsense_is_told():
    plan = CostOptions(gpus=32, gpu="h200", utilisation=0.5, decode_ms=10).plan()
    assert (plan.gpus, plan.card.gigabytes, plan.utilisation, plan.decode_seconds) == (32, 141, 0.5, 0.01)
    nan, inf = float("nan"), float("inf")
    for name, values in {
        "gpus": [0],
        "images": [0],
        "utilisation": [40.0, 0.0, nan],
        "decode_ms": [-1.0, nan, inf],
    }.items():
        for value in values:
            with pytest.raises(ConfigError, match=f"^{name}: expected .*, got {value}$"):
                CostOptions(**{name: value}).plan()
