"""Loads the models that keras_session.py saved, as the documentation says to; run by test_keras.py in a new process."""

import sys
from pathlib import Path

import keras
import numpy as np

if __name__ == "__main__":
    saved = sorted(Path(sys.argv[1]).glob("*.keras"))
    assert [path.stem for path in saved] == ["goal", "model", "rates"]
    for path in saved:
        keras.models.load_model(path, compile=False).predict(np.ones((2, 3)), verbose=0)
    assert "counterpoise" not in sys.modules

    import counterpoise.keras  # noqa: F401  (it registers the losses)

    for path in saved:
        model = keras.models.load_model(path)
        assert type(model.loss).__module__.startswith("counterpoise")
        assert np.isfinite(model.evaluate(np.ones((2, 3)), np.array([0, 1]), verbose=0))
    print("all checks passed")
