"""What a run's folder says without its configuration: how far it is, what it took, how good it is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vistok.workbench.run.costs import CPU, WALL
from vistok.workbench.run.folder import run_maker
from vistok.workbench.run.json_numbers import read_measures, with_strings
from vistok.workbench.run.lock import is_locked
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.records import RECORDS, Record, Records

_IS_RECONSTRUCTION = "mean_absolute_error"  # what sections of reconstructions have, and no others


@dataclass(frozen=True)
class RunSummary:
    """What is known of a run without its configuration.

    Attributes:
        name: Of its folder.
        recipe: That made it.
        state: In words.
        minutes: That its stages took, those of interrupted ones too.
        psnr, distance: Of held-out images through the tokenizer.
        samples_distance, recognised: Of the first generator's samples that were measured.
    """

    name: str
    recipe: str
    state: str
    minutes: float
    psnr: float | None
    distance: float | None
    samples_distance: float | None
    recognised: float | None


def summarise_run(folder: Path) -> RunSummary:
    """Read what a run's folder says of it; nothing is checked for damage.

    Raises:
        ConfigError: A record is damaged.
    """
    records = Records(folder).read()
    file = RunPaths(folder).evaluation()
    measures = read_measures(file) if file.exists() else {}
    tokenizer: dict[str, Any] = measures.get(tokenizer_section(measures) or "", {})
    samples: dict[str, Any] = next((value for key, value in measures.items() if key.startswith("samples ")), {})
    return RunSummary(
        name=folder.name,
        recipe=run_maker(folder),
        state=_state(folder, records),
        minutes=sum(record.cost.get(WALL, 0.0) for record in records.values()) / 60,
        psnr=tokenizer.get("psnr"),
        distance=tokenizer.get("frechet_distance"),
        samples_distance=samples.get("frechet_distance"),
        recognised=samples.get("recognised"),
    )


def tokenizer_section(measures: Mapping[str, Any]) -> str | None:
    """Which section of an evaluation is of what the tokenizer makes in the end, whatever its recipe calls it.

    Of all reconstructions, which have an absolute error as nothing else has, it is the one that is measured last.

    Example:
        >>> first, second = ({"psnr": psnr, "mean_absolute_error": 9.0} for psnr in (20.0, 22.0))
        >>> tokenizer_section({"mean image": {"psnr": 11.0}, "stage I": first, "refined": second, "noise": {}})
        'refined'
    """
    found = [name for name, values in measures.items() if isinstance(values, Mapping) and _IS_RECONSTRUCTION in values]
    return found[-1] if found else None


def run_values(folder: Path) -> dict[str, Any]:
    """The same as values that JSON holds, with the run's folder and what each stage took, for scripts."""
    summary = with_strings(asdict(summarise_run(folder)))
    records = sorted(Records(folder).read().values(), key=lambda each: Records(folder).file(each.name).stat().st_mtime)
    stages = [
        {
            "name": record.name,
            "finished": bool(record.outputs),
            "wall_seconds": record.cost.get(WALL),
            "cpu_seconds": record.cost.get(CPU),
        }
        for record in records
    ]
    told = {key: summary[key] for key in ("recipe", "state", "minutes")}
    measures = {key: summary[key] for key in ("psnr", "distance", "samples_distance", "recognised")}
    return {"run": str(folder), **told, "stages": stages, "measures": measures}


def _state(folder: Path, records: Mapping[str, Record]) -> str:
    if not records:
        return "exported" if not (folder / RECORDS).exists() else "nothing done"
    newest = max(records, key=lambda name: Records(folder).file(name).stat().st_mtime)
    if is_locked(folder):
        return f"working: {newest}"
    stopped = [name for name, record in records.items() if not record.outputs]
    if stopped:
        return f"stopped in {stopped[0]}"
    return "finished" if any(name.startswith("report.") for name in records) else f"{newest} done"
