"""Tables: CSV and Parquet files, and models of classes and numbers for them. This is an extra."""

from blockstep.tables.classifier import Classifier
from blockstep.tables.data_module import TableDataModule
from blockstep.tables.regressor import Regressor

__all__ = ["Classifier", "Regressor", "TableDataModule"]
