"""What the cost command prints."""

from _support.counted_trainings import PARAMETERS, blocks
from _support.mutants import catches
from vistok.workbench.cost.cards import Card
from vistok.workbench.cost.estimate import Plan, estimate
from vistok.workbench.cost.tables import tables

SUBJECT = "vistok.workbench.cost.tables"


@catches(SUBJECT, "gpus * 24 * days", "24 * days")
@catches(SUBJECT, "one.seconds / 86_400", "one.step_seconds / 86_400")
@catches(SUBJECT, "settings.batch_size / one.step_seconds", "one.micro_batch / one.step_seconds")
def test_each_training_has_a_row_in_every_table():
    plan = Plan(Card("a small card", 1e-3, 2e9, 1e9), 8, 0.4, 0.0135)
    found = estimate(blocks(steps=10**9), plan)
    networks, memory, time = tables([found], plan).split(":\n\n")[1:]
    assert f"| generator toy | generator | {PARAMETERS / 1e6:.1f} | yes |" in networks
    assert "| generator toy | " in memory
    assert f"| {found.largest_ddp} | {found.largest_fsdp} |" in memory
    cells = time.splitlines()[-1].strip("| ").split(" | ")
    days = found.seconds / 86_400
    assert float(cells[7].replace(",", "")) == float(f"{days:#.3g}")
    assert abs(float(cells[8].replace(",", "")) / (24 * 8 * days) - 1) < 0.01
    assert float(cells[5].replace(",", "")) == round(48 / found.step_seconds)
