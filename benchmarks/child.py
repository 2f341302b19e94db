"""The fresh process of one run: `python -m benchmarks.child '<JSON>'`; prints what it measured as JSON."""

from __future__ import annotations

import gc
import importlib
import json
import sys
from pathlib import Path

from .setting import Run, Setting
from .timing import Measurement


def main(order: str) -> None:
    """Run one contender and print its rows as the last line."""
    facts = json.loads(order)
    module, function = facts["run"].split(":")
    run: Run = getattr(importlib.import_module(f"benchmarks.contenders.{module}"), function)
    setting = Setting(facts["seconds"], Path(facts["directory"]), facts["dsn"], facts["scale"])
    # What importing left behind is not the contender's garbage.
    gc.collect()
    gc.freeze()
    measured = run(setting)
    rows = {"": measured} if isinstance(measured, Measurement) else measured
    if any(row.value <= 0 for row in rows.values()):
        raise RuntimeError("nothing was finished in the measured time; measure longer")
    print(json.dumps({name: row.to_dict() for name, row in rows.items()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
