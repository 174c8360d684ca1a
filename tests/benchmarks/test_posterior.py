"""The benchmark of posteriors: on few rows already, what a model can represent gives honest probabilities."""

import pytest

from absent import needs
from benchmarks import posterior
from benchmarks.promises.simulation import as_markdown
from benchmarks.results import write_part

needs("sklearn")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found():
    return list(posterior.outcomes_of(posterior.drawn("linear", 2, 8000)))


def test_losses_that_a_line_can_follow_are_as_honest_as_plain_cross_entropy(found):
    assert {one.loss for one in found} >= {"softmax.weighted", "softmax.ldam", "sigmoid.asymmetric"}
    assert "softmax.recall" not in {one.loss for one in found}  # it has no posterior
    missed = [one.cells() for one in found if one.expected and not one.met]
    assert not missed


def test_naive_probabilities_are_far_off(found):
    naive = {one.loss: one.naive for one in found}
    for loss in ("softmax.weighted", "softmax.logit_adjusted", "softmax.focal", "sigmoid.weighted"):
        assert naive[loss] > 0.1
    assert naive["softmax.cross_entropy"] == found[0].ece


def test_it_writes_its_own_part_only(found, tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n\nof others\n\n# Posterior\n\nold\n\n# More\n\n## theirs\n")
    write_part(tmp_path, as_markdown(posterior.POSTERIOR, found, posterior.claims(found), 8000))
    text = path.read_text()
    assert text.startswith("# Results\n\nof others\n\n# Posterior\n\nWritten by")
    assert text.endswith("# More\n\n## theirs\n")
    assert "old" not in text.split("# More")[0].split("# Posterior")[1].splitlines()
