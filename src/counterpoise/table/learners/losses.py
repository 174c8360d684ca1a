"""The losses that take part in a race, by what kind of learner runs."""

from counterpoise.recipes import Recipe, sigmoid, softmax
from counterpoise.weights import ClassCounts

PLAIN = "plain cross-entropy"


def for_trees(counts: ClassCounts) -> list[tuple[str, Recipe]]:
    """What suits a booster; plain cross-entropy first.

    Logit adjustment and balanced softmax do not take part. A booster starts from the best constant, so a constant
    offset inside the loss gives the very trees of plain cross-entropy; what the offset is for, the threshold does.

    Examples
    --------
    >>> [label for label, _ in for_trees(ClassCounts([90, 10]))]
    ['plain cross-entropy', 'weighted', 'weighted, square root', 'focal']
    """
    if len(counts.classes) == 2:
        odds = float(counts.n[0]) / float(counts.n[1])
        return [
            (PLAIN, sigmoid.binary_cross_entropy(counts)),
            ("weighted", sigmoid.weighted(counts, pos_weight=odds)),
            ("weighted, square root", sigmoid.weighted(counts, pos_weight=odds**0.5)),
            ("focal", sigmoid.focal(counts, gamma=2.0)),
        ]
    return [
        (PLAIN, softmax.cross_entropy(counts)),
        ("weighted", softmax.weighted(counts, weight="inverse")),
        ("weighted, square root", softmax.weighted(counts, weight="inverse_sqrt")),
        ("focal", softmax.focal(counts, gamma=2.0)),
    ]


def for_networks(counts: ClassCounts) -> list[tuple[str, Recipe]]:
    """What suits a linear model or a neural network: the same, logit adjustment, and margins for several classes.

    Examples
    --------
    >>> [label for label, _ in for_networks(ClassCounts([90, 10, 5]))][-2:]
    ['logit adjusted', 'ldam']
    """
    found = for_trees(counts)
    if len(counts.classes) == 2:
        return [*found, ("logit adjusted", sigmoid.logit_adjusted(counts))]
    return [*found, ("logit adjusted", softmax.logit_adjusted(counts)), ("ldam", softmax.ldam(counts))]
