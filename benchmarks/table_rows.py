"""Write a table of ten features and three classes: python benchmarks/table_rows.py ROWS FILE, a .csv or a .parquet."""

import sys

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

NAMES = [f"f{n}" for n in range(10)]
SCHEMA = pa.schema([*((name, pa.float32()) for name in NAMES), ("label", pa.string())])
PIECE = 1_000_000

rows, path = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
write = parquet.ParquetWriter if path.endswith(".parquet") else csv.CSVWriter
with write(path, SCHEMA) as file:
    for first in range(0, rows, PIECE):
        x = rng.normal(size=(min(PIECE, rows - first), len(NAMES))).astype(np.float32).round(4)
        label = np.array(["a", "b", "c"])[(x[:, 0] > 0).astype(int) + (x[:, 1] > 0)]
        file.write_table(pa.table([*x.T, label], schema=SCHEMA))
