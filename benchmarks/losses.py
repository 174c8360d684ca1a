"""What is claimed about speed, a row per claim; `python -m benchmarks.losses` measures and prints them all."""

import sys
from collections.abc import Iterator
from functools import partial

import counterpoise as cp
from benchmarks.speed import on_boosters, on_jax, on_numpy, on_tensorflow, on_torch
from benchmarks.speed.measure import Pair, Side, first_call, interleaved, peak, share
from benchmarks.speed.problem import COMBINED, Layer, Problem, Table

SOFTMAX = [name for name in cp.recipes() if name.startswith("softmax.")]
SIGMOID = [name for name in cp.recipes() if name.startswith("sigmoid.")]
SEVERAL = ["softmax.weighted", "softmax.focal", "softmax.logit_adjusted", "softmax.ldam", COMBINED]

Shape = tuple[int, ...]
TWO: Shape = (1_000_000, 2)
TEN: Shape = (262_144, 10)
THOUSAND: Shape = (16_384, 1000)
MANY: Shape = (1024, 50_000)
IMAGES: Shape = (8, 19, 256, 256)
FLAT: Shape = (5_000_000,)
LABELS: Shape = (65_536, 80)
TABLE: Shape = (1_000_000, 30)
LAYER: Shape = (2048, 512, 200_000)


def torch_rows() -> Iterator[Pair]:
    """PyTorch on the CPU, against its own plain loss."""
    softmax = partial(Pair, part="torch", ours=on_torch.OURS, peer=on_torch.PLAIN_CROSS_ENTROPY, by=interleaved)
    sigmoid = partial(Pair, part="torch", ours=on_torch.OURS, peer=on_torch.PLAIN_BCE, by=interleaved)
    for shape, size in (TWO, "1 M x 2"), (TEN, "262 k x 10"):
        for loss in [*SOFTMAX, COMBINED]:
            yield softmax(
                claim=f"torch, softmax, every recipe, {size}",
                problem=Problem(loss, shape),
                bar=0.10,
                same=loss == "softmax.cross_entropy",
            )
    for shape, axis, size in (THOUSAND, -1, "16 k x 1000"), (MANY, -1, "1 k x 50 k"), (IMAGES, 1, "8 x 19 x 256 x 256"):
        for loss in SEVERAL:
            yield softmax(claim=f"torch, softmax, {size}", problem=Problem(loss, shape, class_axis=axis), bar=0.20)
        for loss in SEVERAL:
            yield softmax(
                claim=f"torch, softmax, {size}, overwriting",
                problem=Problem(loss, shape, class_axis=axis, overwrite=True),
                bar=0.12,
                variant="overwrite",
            )
    for loss in ["softmax.cross_entropy", *SEVERAL]:
        yield softmax(claim="torch, softmax, mini-batch 256 x 4", problem=Problem(loss, (256, 4)), bar=1.0)
    for loss in SIGMOID:
        yield sigmoid(claim="torch, sigmoid, mini-batch 256", problem=Problem(loss, (256,)), bar=1.0)
    for shape, size in (FLAT, "5 M"), (LABELS, "65 k x 80"):
        for loss, bar in ("sigmoid.weighted", 0.30), ("sigmoid.focal", 0.40), ("sigmoid.asymmetric", 0.40):
            yield sigmoid(claim=f"torch, {loss.replace('.', ' ')}, {size}", problem=Problem(loss, shape), bar=bar)
    for loss in SEVERAL:
        yield softmax(
            claim="torch, softmax, bfloat16, 16 k x 1000",
            problem=Problem(loss, THOUSAND, dtype="bfloat16"),
            bar=0.35,
            variant="bfloat16",
        )


def compiler_rows() -> Iterator[Pair]:
    """TensorFlow and JAX, against their native plain loss."""
    for part, name, on in ("tensorflow", "TensorFlow", on_tensorflow), ("jax", "JAX", on_jax):
        for loss in [*SOFTMAX, COMBINED]:
            yield Pair(
                part=part,
                claim=f"{name}, softmax, each recipe, 262 k x 10",
                problem=Problem(loss, TEN),
                ours=on.OURS,
                peer=on.PLAIN_CROSS_ENTROPY,
                bar=0.5,
                by=interleaved,
                same=loss == "softmax.cross_entropy",
            )
        for loss in SIGMOID:
            yield Pair(
                part=part,
                claim=f"{name}, sigmoid, each recipe, 5 M",
                problem=Problem(loss, FLAT),
                ours=on.OURS,
                peer=on.PLAIN_BCE,
                bar=0.5,
                by=interleaved,
                same=loss == "sigmoid.binary_cross_entropy",
            )


def booster_rows() -> Iterator[Pair]:
    """Gradient boosting: what the objective costs, and the whole training against the built-in objective."""
    for name, ours, builtin in (
        ("LightGBM", on_boosters.LIGHTGBM, on_boosters.LIGHTGBM_BUILTIN),
        ("XGBoost", on_boosters.XGBOOST, on_boosters.XGBOOST_BUILTIN),
    ):
        for loss in ("sigmoid.binary_cross_entropy", "sigmoid.focal"):
            training = partial(Pair, part="boosters", problem=Table(loss, TABLE), ours=ours)
            yield training(
                claim=f"{name}, 1 M x 30, 100 rounds, time in the objective",
                peer=on_boosters.WHOLE_TRAINING,
                bar=0.02,
                by=share,
                work="100 rounds, time in the objective",
                variant=f"{name.lower()}-objective",
            )
            yield training(
                claim=f"{name}, 1 M x 30, 100 rounds, total",
                peer=builtin,
                bar=1.05,
                by=interleaved,
                work="100 rounds, total time",
                variant=f"{name.lower()}-total",
            )


def linear_rows() -> Iterator[Pair]:
    """The last linear layer together with its loss, 200 000 classes."""
    for loss in ("softmax.focal", "softmax.logit_adjusted"):
        layer = partial(Pair, part="linear", problem=Layer(loss, LAYER), ours=on_torch.LINEAR_LOSS)
        for peer, variant, time_bar, memory_bar in (
            (on_torch.LINEAR_THEN_CROSS_ENTROPY, "plain", 0.60, 0.15),
            (on_torch.LINEAR_CROSS_ENTROPY, "chunked", 0.25, 1.0),
        ):
            yield layer(
                claim=f"linear + loss, 200 k classes, time, against {peer.name}",
                peer=peer,
                bar=time_bar,
                by=interleaved,
                variant=f"{variant}-time",
            )
            yield layer(
                claim=f"linear + loss, 200 k classes, peak extra memory, against {peer.name}",
                peer=peer,
                bar=memory_bar,
                by=peak,
                work="forward + backward, peak extra memory",
                variant=f"{variant}-memory",
            )


def roofline_rows() -> Iterator[Pair]:
    """The kernel against what its bytes cost, nothing in the caches."""
    for size, bar, shape, losses in (
        ("1 M x 2", 2.0, TWO, ("softmax.cross_entropy", *SEVERAL)),
        ("16 k x 1000", 1.6, THOUSAND, ("softmax.cross_entropy", *SEVERAL)),
        ("sigmoid 5 M", 1.3, FLAT, ("sigmoid.binary_cross_entropy", "sigmoid.weighted", "sigmoid.focal")),
    ):
        for loss in losses:
            yield Pair(
                part="roofline",
                claim=f"kernel against the memory roofline, cold caches, {size}",
                problem=Problem(loss, shape),
                ours=on_numpy.KERNEL,
                peer=on_torch.COPY,
                bar=bar,
                by=interleaved,
                work="kernel, cold caches",
                cold=True,
            )


def import_rows() -> Iterator[Pair]:
    """What the first call costs beyond importing."""
    for problem, plain in (
        (Problem("softmax.focal", (256, 4)), on_torch.PLAIN_CROSS_ENTROPY),
        (Problem("sigmoid.focal", (256,)), on_torch.PLAIN_BCE),
    ):
        first = partial(
            Pair,
            part="import",
            problem=problem,
            ours=on_torch.OURS,
            work="first forward + backward beyond import",
        )
        yield first(
            claim="torch, first call in a new process",
            peer=Side("what is allowed"),
            bar=1.0,
            by=partial(first_call, allowed=0.020),
        )
        # of which torch's own start is a part
        yield first(claim="torch's own first call", peer=plain, by=first_call, variant="plain")


def peer_rows() -> Iterator[Pair]:
    """Other libraries' imbalance losses; nothing is claimed."""
    peers = partial(Pair, part="peers", by=interleaved)
    for shape in TWO, TEN, THOUSAND:
        yield peers(
            claim="peers: torch's composed focal",
            problem=Problem("softmax.focal", shape),
            ours=on_torch.OURS,
            peer=on_torch.COMPOSED_FOCAL,
            variant="composed",
            same=True,
        )
    for shape in FLAT, LABELS:
        yield peers(
            claim="peers: torchvision's formula",
            problem=Problem("sigmoid.focal", shape),
            ours=on_torch.OURS,
            peer=on_torch.TORCHVISION_FORMULA,
            variant="torchvision",
            same=True,
        )
    for loss, peer in (
        ("softmax.class_balanced", on_torch.BALANCED_CROSS_ENTROPY),
        ("softmax.focal", on_torch.BALANCED_FOCAL),
    ):
        yield peers(
            claim="peers: balanced-loss",
            problem=Problem(loss, TEN),
            ours=on_torch.OURS,
            peer=peer,
            variant="balanced-loss",
        )
    for loss, shape, peer in (
        ("softmax.focal", TEN, on_tensorflow.KERAS_CATEGORICAL_FOCAL),
        ("sigmoid.focal", FLAT, on_tensorflow.KERAS_BINARY_FOCAL),
    ):
        yield peers(
            claim="peers: Keras focal",
            problem=Problem(loss, shape),
            ours=on_tensorflow.OURS,
            peer=peer,
            variant="keras",
            same=True,
        )
    for loss, shape, peer in (
        ("softmax.cross_entropy", TEN, on_numpy.SKLEARN_MULTINOMIAL),
        ("sigmoid.binary_cross_entropy", FLAT, on_numpy.SKLEARN_BINOMIAL),
    ):
        yield peers(
            claim="peers: scikit-learn's _loss",
            problem=Problem(loss, shape),
            ours=on_numpy.KERNEL,
            peer=peer,
            work="loss + gradient, NumPy",
            variant="scikit-learn",
            same=True,
        )
    for loss, peer, variant in (
        ("sigmoid.focal", on_boosters.IMBALANCE_XGBOOST, "imbalance-xgboost"),
        ("sigmoid.weighted", on_boosters.EMPULSE, "empulse"),
    ):
        yield peers(
            claim=f"peers: {variant}",
            problem=Table(loss, TABLE),
            ours=on_boosters.ONE_CALL,
            peer=peer,
            work="gradient + curvature of 1 M rows",
            variant=variant,
            same=variant == "empulse",
        )


ROWS = [
    *torch_rows(),
    *compiler_rows(),
    *booster_rows(),
    *linear_rows(),
    *roofline_rows(),
    *import_rows(),
    *peer_rows(),
]

if __name__ == "__main__":
    from benchmarks.speed.command import main

    sys.exit(main(ROWS))
