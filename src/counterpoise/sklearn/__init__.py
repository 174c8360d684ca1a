"""Recipes in scikit-learn: a linear classifier, and any booster, with honest probabilities.

from counterpoise.sklearn import BoosterClassifier, LinearClassifier
"""

try:
    import scipy.optimize  # noqa: F401
    import sklearn  # noqa: F401
except ImportError as missing:
    raise ImportError(
        "counterpoise.sklearn needs scikit-learn and SciPy: pip install 'counterpoise[sklearn]'"
    ) from missing

from counterpoise.sklearn.booster import BoosterClassifier
from counterpoise.sklearn.linear import LinearClassifier

__all__ = ["BoosterClassifier", "LinearClassifier"]
