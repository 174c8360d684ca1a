"""The main job: from a table to a classifier, a threshold and a page that explains them."""

from counterpoise.table.audit import Audit, audit_table
from counterpoise.table.bundle import Bundle, load
from counterpoise.table.predict import predict_table
from counterpoise.table.repair import Repair, repair_table
from counterpoise.table.train import Training, train_table

__all__ = [
    "Audit",
    "Bundle",
    "Repair",
    "Training",
    "audit_table",
    "load",
    "predict_table",
    "repair_table",
    "train_table",
]
