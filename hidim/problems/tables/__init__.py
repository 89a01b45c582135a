"""Rows in a file: CSV, Parquet, .npz and .npy become features and targets."""

from hidim.problems.tables.choice import Data
from hidim.problems.tables.read import read_rows

__all__ = ["Data", "read_rows"]
