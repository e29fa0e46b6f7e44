"""The recipe for offline files before wandb 0.31, with the SDK's own reader: scan, parse, decode, make a table.

Run by a Python that has an old wandb and pandas, and nothing of ours: ``python loading_datastore.py FOLDER`` prints
seconds on the clock and of processor, rows and the sum of the values as JSON. See `benchmarks/loading.py`.
"""

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

# Of an old wandb: not there where the project's types are checked.
_DATASTORE: Any = import_module("wandb.sdk.internal.datastore")
_MESSAGES: Any = import_module("wandb.proto.wandb_internal_pb2")


def read(path: Path) -> pd.DataFrame:
    """Columns run, step, name, value of a file."""
    store = _DATASTORE.DataStore()
    store.open_for_scan(str(path))
    rows: list[tuple[int, str, float]] = []
    while (data := store.scan_data()) is not None:
        record = _MESSAGES.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            step = record.history.step.num
            for item in record.history.item:
                name = item.key or ".".join(item.nested_key)
                rows.append((step, name, json.loads(item.value_json)))
    return pd.DataFrame(rows, columns=["step", "name", "value"]).assign(run=path.stem)


def main() -> None:
    """Time the recipe over a folder."""
    files = sorted(Path(sys.argv[1]).rglob("*.wandb"))
    started, processor = time.perf_counter(), time.process_time()
    metrics = pd.concat([read(path) for path in files], ignore_index=True)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    values = metrics.loc[~metrics["name"].str.startswith("_"), "value"]
    measured = {"seconds": seconds, "processor": processor, "rows": len(values), "total": float(values.sum())}
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
