"""The main job: from a table to a classifier, a threshold and a page that explains them."""

from counterpoise.table.audit import Audit, audit_table
from counterpoise.table.loading import load
from counterpoise.table.model import Model
from counterpoise.table.multilabel import MultilabelTraining
from counterpoise.table.multilabel_model import MultilabelModel
from counterpoise.table.predict import predict_table
from counterpoise.table.repair import Repair, repair_table
from counterpoise.table.train import Training, train, train_table

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
