"""Write the folder of a run of a thousand records: those of a real run again and again, at other sizes.

``python thousand.py REAL_RUN OUT``. Sizes and identities are new, all else is as it was measured: it is for
timing what reads a run, and no number in it means anything.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from ctxbench.measure.folder import PLAN, RECORDS, read_run

WANTED = 1000


def main(real: Path, out: Path) -> None:
    """Repeat the records of ``real`` in ``out``."""
    run = read_run(real)
    copies = [
        replace(record, case=replace(record.case, height=16 + i, width=16 + i))
        for i in range(-(-WANTED // len(run.records)))
        for record in run.records
    ][:WANTED]
    out.mkdir()
    plan = replace(run.plan, cases=tuple(record.case for record in copies))
    (out / PLAN).write_text(json.dumps(plan.to_json()))
    (out / RECORDS).write_text("".join(json.dumps(record.to_json()) + "\n" for record in copies))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
