"""scikit-learn: one loss in a linear model and in LightGBM, honest probabilities, a threshold that fits the goal."""

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import TunedThresholdClassifierCV, train_test_split

from counterpoise.sklearn import BoosterClassifier, LinearClassifier

rng = np.random.default_rng(0)
rows = rng.normal(size=(6000, 4))
label = (rows[:, 0] + rng.normal(size=6000) > 3.0).astype(int)
train, test, y, truth = train_test_split(rows, label, test_size=2000, stratify=label, random_state=0)

models = {
    "linear": LinearClassifier("softmax.logit_adjusted"),
    "LightGBM": BoosterClassifier(
        LGBMClassifier(n_estimators=40, num_leaves=7, n_jobs=1, verbosity=-1), "sigmoid.focal"
    ),
}
for name, model in models.items():
    probability = model.fit(train, y).predict_proba(test)[:, 1]
    tuned = TunedThresholdClassifierCV(model, scoring="f1", cv=3).fit(train, y)
    print(
        f"{name}: average precision {average_precision_score(truth, probability):.2f}, "
        f"positives {truth.mean():.3f}, posterior says {probability.mean():.3f}, "
        f"F1 {f1_score(truth, model.predict(test)):.2f} at 0.5, {f1_score(truth, tuned.predict(test)):.2f} tuned"
    )
    assert abs(probability.mean() - truth.mean()) < 0.01
