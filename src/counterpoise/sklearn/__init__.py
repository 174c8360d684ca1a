"""Recipes and goals in scikit-learn: a linear classifier, any booster, any classifier that decides as a goal asks.

from counterpoise.sklearn import BoosterClassifier, GoalClassifier, LinearClassifier
"""

try:
    import scipy.optimize  # noqa: F401
    import sklearn  # noqa: F401
except ImportError as missing:
    raise ImportError(
        "counterpoise.sklearn needs scikit-learn and SciPy: pip install 'counterpoise[sklearn]'"
    ) from missing

from counterpoise.sklearn.booster import BoosterClassifier
from counterpoise.sklearn.goal import GoalClassifier
from counterpoise.sklearn.linear import LinearClassifier

__all__ = ["BoosterClassifier", "GoalClassifier", "LinearClassifier"]
