"""How long stages will take: as in the last run of the same settings, or as somebody measured them once."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from vistok.workbench.config import ConfigError
from vistok.workbench.run.devices import best_device, computes_in_bfloat16
from vistok.workbench.run.folder import ASIDE, is_run, run_maker
from vistok.workbench.run.records import RECORDS
from vistok.workbench.run.stages import Stages

_NEWEST = 100  # runs that are looked at
_WITHOUT_BFLOAT16 = 5.0  # times as long on a processor without such products: 3.3 minutes of a demo were about 17


def expected_seconds(stages: Stages, runs: Path, shipped: Mapping[str, float]) -> tuple[dict[str, float], str]:
    """Seconds of each stage, and where they are from, in words.

    Args:
        stages: Of the run that is to begin.
        runs: The folder of all runs. The newest one that has finished all these stages with the same settings, seeds
            apart, says what they took; so does an earlier run that was set aside.
        shipped: What each command took on a machine that computes in bfloat16, where there is no such run.
    """
    for folder in _earlier_runs(stages, runs):
        try:
            found = stages.seconds_in(folder)
        except ConfigError:  # damaged, and not this run's matter
            continue
        if len(found) == len(stages.by_name):
            return found, f"as in {folder}"
    listed = {name: shipped[stage.command] for name, stage in stages.by_name.items() if stage.command in shipped}
    if not listed:
        return {}, "not known before"
    if computes_in_bfloat16(best_device()):
        return listed, "about those of 2 cores of a server"
    longer = {name: _WITHOUT_BFLOAT16 * seconds for name, seconds in listed.items()}
    return longer, f"about {_WITHOUT_BFLOAT16:g} times those of 2 cores with products in bfloat16, which are none here"


def _earlier_runs(stages: Stages, runs: Path) -> Iterator[Path]:
    """Folders of runs of this recipe, the newest first."""
    places = [*runs.glob(f"*/{RECORDS}"), *runs.glob(f"*/{ASIDE}/*/{RECORDS}")]
    for place in sorted(places, key=lambda each: each.stat().st_mtime, reverse=True)[:_NEWEST]:
        run = place.parents[2] if place.parents[1].name == ASIDE else place.parent
        with contextlib.suppress(ConfigError, OSError):  # a damaged mark, and not this run's matter
            if is_run(run) and run_maker(run) == stages.program:
                yield place.parent
