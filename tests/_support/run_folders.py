"""Folders of runs, from the records of their stages and an evaluation."""

import json

from vistok.workbench.run.folder import mark_run
from vistok.workbench.run.records import Records

DONE = {"out": "0" * 64}


def run_of(folder, *records, evaluation=None, maker="toy"):
    mark_run(folder, maker)
    for record in records:
        (folder / "stages").mkdir(exist_ok=True)
        Records(folder).write(record)
    if evaluation is not None:
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder
