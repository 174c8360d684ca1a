"""The main job: from a table to a classifier, a threshold and a page that explains them."""

from counterpoise.table.audit.audit import audit_table
from counterpoise.table.audit.facts import Audit
from counterpoise.table.model.loading import load
from counterpoise.table.model.one import Model
from counterpoise.table.model.several import MultilabelModel
from counterpoise.table.train import MultilabelTraining, Training, train, train_table
from counterpoise.table.using.predict import predict_table
from counterpoise.table.using.repair import Repair, repair_table

__all__ = [
    "Audit",
    "Model",
    "MultilabelModel",
    "MultilabelTraining",
    "Repair",
    "Training",
    "audit_table",
    "load",
    "predict_table",
    "repair_table",
    "train",
    "train_table",
]
