"""The losses that take part in a race, by the kind of learner."""

from counterpoise.recipes import Recipe, sigmoid, softmax
from counterpoise.weights import ClassCounts

PLAIN = "plain cross-entropy"


def for_learned_start(counts: ClassCounts) -> list[tuple[str, Recipe]]:
    """Losses for a learner with its own constant; plain cross-entropy first.

    Logit adjustment and balanced softmax do not take part. A booster starts from the best constant, and a linear model
    learns one, so a constant offset inside the loss gives the same model as plain cross-entropy, and the threshold does
    the work of the offset.

    Examples
    --------
    >>> [label for label, _ in for_learned_start(ClassCounts([90, 10]))]
    ['plain cross-entropy', 'weighted', 'weighted, square root', 'focal']
    """
    counts = ClassCounts(counts.n)  # the model's directory names the classes, and its recipes go by place
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
    """Losses for a neural network: the same, and margins for several classes.

    Examples
    --------
    >>> [label for label, _ in for_networks(ClassCounts([90, 10, 5]))][-1]
    'ldam'
    """
    margins = [("ldam", softmax.ldam(ClassCounts(counts.n)))] if len(counts.classes) > 2 else []
    return [*for_learned_start(counts), *margins]
