"""The stages of a run: what each needs, which settings it depends on, and whether what it wrote is still whole."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vistok.workbench.config import Config, ConfigError, default_values
from vistok.workbench.run.costs import WALL, measured, with_earlier
from vistok.workbench.run.folder import check_folder, is_run, mark_run, set_aside, write_config
from vistok.workbench.run.inventory import Inventory, check_same, surely_same
from vistok.workbench.run.lock import run_lock
from vistok.workbench.run.records import Record, Records, all_needs, differences, followers, found_at, some_of, value_at

_IMAGES, _PLACE = "data.", "data.source "  # how changes begin of which images there are, and of where they lie


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Args:
        name: Unique in the run; what follows the first dot is the variant, such as the generator that is trained.
        settings: Dotted keys of the settings and sections that its result depends on, beyond those of its needs.
        outputs: The files and folders that it writes; it is done when all are there and whole.
        needs: Names of the stages whose outputs it reads.
        reads: Names of stages whose outputs it reads too if they are finished.
        checkpoints: Where it keeps its training state, if it trains.

    Example:
        >>> Stage("sample.small.default", ("seed",), (Path("samples-small.safetensors"),)).command
        'sample'
    """

    name: str
    settings: tuple[str, ...]
    outputs: tuple[Path, ...]
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    checkpoints: Path | None = None

    @property
    def command(self) -> str:
        """The command that runs it."""
        return self.name.partition(".")[0]


class Stages:
    """The stages of one run, for one configuration.

    Args:
        program: The recipe's command, for messages.
        hint: The user's options, which the commands in messages repeat so that they can be run as they stand.
        folder: The run's.
        config: The resolved configuration.
        stages: All that it names, in the order in which they run.
        images: Those that there are now; they are compared with those that stages were run with.
    """

    def __init__(
        self,
        program: str,
        hint: str,
        folder: Path,
        config: Config,
        stages: list[Stage],
        images: Inventory | None = None,
    ) -> None:
        self.program, self.hint, self.folder, self.config, self.images = program, hint, folder, config, images
        self.by_name = {stage.name: stage for stage in stages}
        self._values = config.recorded()
        self._default_values = default_values(config)
        self._records = Records(folder)

    def is_done(self, stage: Stage) -> bool:
        """Whether its outputs are whole, and made with these settings from all that there is to read."""
        record = self._records.read().get(stage.name)
        return (
            record is not None
            and bool(record.outputs)
            and record.needs == self._present(stage)
            and not self._records.lacks(record, stage.outputs)
            and not self._differences(record, self._settings(stage))
            and self._records.damaged(record) is None
        )

    def stays(self, stage: Stage) -> bool:
        """Whether a stage that is asked for again is done; its inputs are checked then, as where it is opened."""
        done = self.is_done(stage)
        if done:
            check_folder(self.folder, self.program)
            self._check_inputs(stage, fresh=False)
        return done

    def check_done(self, stage: Stage) -> None:
        """Raise :class:`ConfigError`, with the command to run, unless a stage is done with these images."""
        self.check_images()
        if not self.is_done(stage):
            raise ConfigError(f"{stage.outputs[0]}: missing, or not as it was written; run {self.command(stage)} first")

    def has_begun(self) -> bool:
        """Whether the folder holds anything that a run from nothing would spoil."""
        return any(map(self._has_made, self._records.read().values()))

    @contextlib.contextmanager
    def opened(
        self, stage: Stage, *, resume: bool, fresh: bool, check: Callable[[], Any] | None = None
    ) -> Iterator[None]:
        """Hold the run's folder while a stage runs; leave a record of its settings, its cost and what it wrote.

        Everything is checked, by ``check`` too, before anything is written or moved. Files of an earlier time, and of
        what followed from them, are set aside: with ``fresh``, or where a stage that trains nothing had other settings.

        Raises:
            ConfigError: The folder is no run's, or another process works in it; what stays was made of other images; a
                stage that is needed is missing, damaged or had other settings, or one that is read too; a training had
                other settings, or has checkpoints and neither ``resume`` nor ``fresh`` is given.
        """
        check_folder(self.folder, self.program)
        if not is_run(self.folder):
            self.check_needs(stage)  # before there is a folder: nothing is made for a stage that cannot run
        mark_run(self.folder, self.program)
        with run_lock(self.folder):
            self._check_inputs(stage, fresh=fresh)
            if check is not None:
                check()
            if stale := self._stale(stage, resume=resume, fresh=fresh):
                self._set_aside(stale)
            write_config(self.folder, self.config, stage.name, anew=not self.has_begun())
            checkpoints = None if stage.checkpoints is None else self._records.relative(stage.checkpoints)
            record = Record(stage.name, self._present(stage), self._settings(stage), {}, checkpoints, {}, self.images)
            before = self._records.read().get(stage.name)
            earlier = before.cost if before is not None and not before.outputs else {}
            record.cost.update(earlier)
            self._records.write(record)
            try:
                with measured() as cost:
                    yield
            finally:
                record.cost.update(with_earlier(cost, earlier))
                self._records.write(record)
            self._records.finish(record, stage.outputs)

    def seconds_in(self, folder: Path) -> dict[str, float]:
        """What these stages took in another run, by their names: those with the same settings, but for the seed."""
        records = Records(folder).read()
        found = {}
        for name, stage in self.by_name.items():
            record = records.get(name)
            if record is not None and record.outputs and WALL in record.cost:
                was, now = ({**each, "seed": None} for each in (record.settings, self._settings(stage)))
                if not differences(was, now):
                    found[name] = record.cost[WALL]
        return found

    def check_images(self, begun_again: Stage | None = None) -> None:
        """Check that what there is was made of the images that there are, where the settings mean the same ones.

        Args:
            begun_again: A stage whose files go, with those of all that followed from it.

        Raises:
            ConfigError: Some were added, taken away, renamed or relabelled.
        """
        records = self._records.read()
        if any(change.startswith(_IMAGES) for record in records.values() for change in self._changed(record)):
            return  # a matter of settings, of which the stages say what changed
        gone = [] if begun_again is None else followers(begun_again.name, records)
        for record in (records[name] for name in dict.fromkeys((*self.by_name, *records)) if name in records):
            if record not in gone and self._has_made(record):
                check_same(record.images, self.images, record.name, next(iter(self.by_name.values())).command)

    def check_others(self) -> None:
        """Check what these stages read and do not make, so that it is not met after hours of training.

        Raises:
            ConfigError: A stage that is not listed here had other settings, or its files are damaged.
        """
        self._check_reads(name for stage in self.by_name.values() for name in stage.reads if name not in self.by_name)

    def restart(self) -> None:
        """Set aside all that any stage wrote, so that a run from nothing can begin."""
        check_folder(self.folder, self.program)
        if self.folder.exists():
            with run_lock(self.folder):
                set_aside(self.folder, [])

    def command(self, stage: Stage, *flags: str) -> str:
        """The command that runs a stage of this run."""
        return " ".join(part for part in (self.program, stage.command, self.hint, *flags) if part)

    def _check_inputs(self, stage: Stage, *, fresh: bool) -> None:
        self.check_images(stage if fresh else None)
        self.check_needs(stage)
        self._check_reads(stage.reads)

    def check_needs(self, stage: Stage, to_come: Collection[str] = ()) -> None:
        """Raise :class:`ConfigError` unless all that a stage needs is done, but for stages by name that are to come."""
        records = self._records.read()
        for name in (name for name in self.needs_of(stage) if name not in to_come):
            need, record = self.by_name[name], records.get(name)
            if record is None or not record.outputs or self._records.lacks(record, need.outputs):
                raise ConfigError(f"{self.folder}: {need.outputs[0].name} is missing; run {self.command(need)} first")
            if (damaged := self._records.damaged(record)) is not None:
                raise ConfigError(
                    f"{self.folder / damaged}: missing, or not as {need.command} wrote it; "
                    f"run {self.command(need, '--fresh')}"
                )
            if different := self._differences(record, self._settings(need)):
                raise ConfigError(
                    f"{self.folder}: {need.command} was run with another configuration ({some_of(different)}); "
                    "give those settings again, or another --name"
                )

    def _check_reads(self, names: Iterable[str]) -> None:
        """What is read if it is there must be what the configuration says of it."""
        records = self._records.read()
        for name in names:
            if name not in records or not records[name].outputs:
                continue
            for source in (name, *sorted(all_needs(records[name], records) & records.keys())):
                if different := self._changed(records[source]):
                    raise ConfigError(
                        f"{self.folder}: {name} was run with another configuration ({some_of(different)}); "
                        f"run {name.partition('.')[0]} for it again, or give those settings again"
                    )
            if damaged := self._records.damaged(records[name]):
                raise ConfigError(f"{self.folder / damaged}: missing, or not as {name} wrote it; run that again")
            if name in self.by_name and self._records.lacks(records[name], self.by_name[name].outputs):
                raise ConfigError(f"{self.folder}: {name} wrote other files than it does now; run that again")

    def _stale(self, stage: Stage, *, resume: bool, fresh: bool) -> list[Record]:
        """The records of the stage and of what followed from it, if those must go before it runs."""
        records = self._records.read()
        record = records.get(stage.name)
        if record is None:
            return []
        different = self._differences(record, self._settings(stage))
        made = followers(stage.name, records)
        if not fresh:
            if not self._has_made(record):
                return []  # it failed before it made anything: its settings may change
            if stage.checkpoints is not None and different:
                raise ConfigError(
                    f"{self.folder}: {stage.name} was begun with another configuration ({some_of(different)}); "
                    "give those settings again or another name, or --fresh to set it aside and begin again"
                )
            if self._records.has_checkpoints(record) and not resume:
                raise ConfigError(
                    f"{stage.checkpoints}: holds checkpoints; --resume continues from the newest one, "
                    "--fresh sets them aside"
                )
            learned = [each.name for each in made if each.checkpoints is not None and self._has_made(each)]
            if different and learned:
                raise ConfigError(
                    f"{self.folder}: {stage.name} was run with another configuration ({some_of(different)}), and "
                    f"{learned[0]} learned from what it made; "
                    "give those settings again or another name, or --fresh to set all of that aside"
                )
            if not different:  # it may read more than it did: what was made of the less goes
                more = record.needs != self._present(stage)
                return [each for each in made if more and each is not record]
        return made

    def _has_made(self, record: Record) -> bool:
        return bool(record.outputs) or self._records.has_checkpoints(record)

    def _set_aside(self, stale: list[Record]) -> None:
        paths = []
        for record in stale:
            paths += [self._records.file(record.name), *(self.folder / path for path in record.outputs)]
            paths += [self.folder / record.checkpoints] if record.checkpoints else []
            paths += self.by_name[record.name].outputs if record.name in self.by_name else ()
        set_aside(self.folder, list(dict.fromkeys(paths)))

    def needs_of(self, stage: Stage) -> list[str]:
        """Everything that must have run before, in order."""
        needed: dict[str, None] = {}
        for name in stage.needs:
            needed |= dict.fromkeys((*self.needs_of(self.by_name[name]), name))
        return list(needed)

    def _present(self, stage: Stage) -> list[str]:
        records = self._records.read()
        return [*stage.needs, *(name for name in stage.reads if name in records and records[name].outputs)]

    def _settings(self, stage: Stage) -> dict[str, Any]:
        return {key: value_at(self._values, key) for key in stage.settings}

    def _differences(self, record: Record, settings: dict[str, Any]) -> list[str]:
        defaults = found_at(self._default_values, settings)
        found = differences(record.settings, settings, defaults)
        return [each for each in found if not (each.startswith(_PLACE) and surely_same(record.images, self.images))]

    def _changed(self, record: Record) -> list[str]:
        """What the configuration says otherwise than a record of any stage, listed here or not."""
        return self._differences(record, found_at(self._values, record.settings))
