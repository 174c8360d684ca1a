"""What must hold of JAX arrays that are spread over four devices; run by test_jax_meshes.py.

Many functions are compiled as one, since compiling is what takes the time.
"""

import os
import re
from functools import partial
from typing import Any, NamedTuple

# LLVM's optimisations take most of the time and change nothing that is checked here
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import counterpoise as cp
from cases import RECIPES, SIGMOID, SOFTMAX
from counterpoise.jax import goal_loss, loss
from counterpoise.losses import linear_loss
from counterpoise.rates import of_counts, remembered, soft_counts

EXPLICIT, AUTO = AxisType.Explicit, AxisType.Auto
LINE = jax.make_mesh((4,), ("batch",))
"""JAX's default, whose axes are explicit."""

MESHES = {
    "explicit": (LINE, P("batch")),
    "automatic": (jax.make_mesh((4,), ("batch",), axis_types=(AUTO,)), P("batch")),
    "explicit, rows over both axes": (jax.make_mesh((2, 2), ("data", "model")), P(("data", "model"))),
    "explicit, classes too": (jax.make_mesh((2, 2), ("data", "model")), P("data", "model")),
    "automatic, classes too": (
        jax.make_mesh((2, 2), ("data", "model"), axis_types=(AUTO, AUTO)),
        P("data", "model"),
    ),
    "explicit rows, automatic classes": (
        jax.make_mesh((2, 2), ("data", "model"), axis_types=(EXPLICIT, AUTO)),
        P("data", "model"),
    ),
    "automatic rows, explicit classes": (
        jax.make_mesh((2, 2), ("data", "model"), axis_types=(AUTO, EXPLICIT)),
        P("data", "model"),
    ),
    "explicit, the same on all": (LINE, P()),
    "explicit, one device for the classes": (jax.make_mesh((4, 1), ("data", "model")), P("data", "model")),
}
WHOLE_ROWS = ("explicit", "automatic", "explicit, rows over both axes")

RNG = np.random.default_rng(0)
ROWS = 36  # not a multiple of 32, the stage of a sum without double precision
LOGITS = RNG.normal(size=(ROWS, 4)).astype(np.float32)
TARGET = RNG.integers(4, size=ROWS).astype(np.int32)
SHARES = RNG.dirichlet(np.ones(4), ROWS).astype(np.float32)
HITS = RNG.integers(2, size=(ROWS, 4)).astype(np.float32)
WEIGHT = RNG.integers(3, size=ROWS).astype(np.float32)


class Batch(NamedTuple):
    """Logits, and what they may be compared with: classes, shares of classes, labels; and a weight for each row."""

    logits: Any
    target: Any
    shares: Any
    hits: Any
    weight: Any


BATCH = Batch(LOGITS, TARGET, SHARES, HITS, WEIGHT)

EVERYTHING = next(recipe for recipe in SOFTMAX if recipe.name == "everything by pair")
SIGMOID_EVERYTHING = cp.recipe(
    {**SIGMOID[-1].to_dict(), "pos_weight": 2.0, "neg_weight": 1.0, "scale": 0.7, "offset": 0.3}
)


def put(mesh, spec, batch=BATCH):
    """The batch on a mesh: rows where the logits have theirs, classes where they have theirs."""

    def one(array):
        return jax.device_put(array, NamedSharding(mesh, spec if array.ndim == 2 else P(*spec[:1])))

    return jax.tree.map(one, batch)


def agree(found, expected, tolerance=1e-5):
    """Equal trees of numbers, to single precision."""

    def one(a, b):
        np.testing.assert_allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=tolerance, atol=tolerance)

    jax.tree.map(one, found, expected)


def gathered(compiled):
    """The largest array that a program gathers on each device, in elements."""
    shapes = re.findall(r"= \(?\w+\[([\d,]*)\]\S* (?:all-gather|all-to-all)", compiled.as_text())
    return max((int(np.prod([int(size) for size in shape.split(",") if size])) for shape in shapes), default=0)


def kernel_calls(compiled):
    return compiled.as_text().count('custom_call_target="counterpoise_')


def with_gradients(functions):
    """Each function's value, summed, with its gradient by the logits, as one function of the batch."""

    def step(batch):
        return {
            name: jax.value_and_grad(lambda z, function=function: function(z, batch).sum())(batch.logits)
            for name, function in functions.items()
        }

    return step


def check(functions, name, *, whole_rows=False):
    """On a mesh the functions give what one device gives, and each gradient lies where the logits do."""
    step, batch = with_gradients(functions), put(*MESHES[name])
    compiled = jax.jit(step).lower(batch).compile()
    found = compiled(batch)
    agree(found, jax.jit(step)(BATCH))
    for value, gradient in found.values():
        assert value.sharding.is_fully_replicated
        assert gradient.sharding.is_equivalent_to(batch.logits.sharding, 2), (name, gradient.sharding)
    if whole_rows:
        assert gathered(compiled) == 0
    return compiled


def of_recipe(recipe):
    """The loss of as many of the classes as the recipe has."""
    classes = slice(recipe.classes or 4)

    def function(z, batch):
        target = batch.target if recipe.family == "softmax" else batch.hits[:, classes]
        return loss(z[:, classes], target, recipe)

    return function


def every_recipe():
    functions = {f"{recipe.family} {recipe.name}": of_recipe(recipe) for recipe in RECIPES}
    compiled = check(functions, "explicit", whole_rows=True)
    assert kernel_calls(compiled) == len(RECIPES), "the kernel has the rows of each device"
    alike = {"one": of_recipe(EVERYTHING)}  # an axis of one device divides nothing
    assert kernel_calls(check(alike, "explicit, one device for the classes", whole_rows=True)) == 1
    some = dict(list(functions.items())[::6])
    assert kernel_calls(check(some, "automatic", whole_rows=True)) == 0
    check(some, "explicit, the same on all")
    check({recipe.name: of_recipe(recipe) for recipe in (SOFTMAX[1], SOFTMAX[5])}, "explicit, classes too")


def options_of(kind, batch):
    return {
        "plain": {},
        "weights": {"sample_weight": batch.weight},
        "ignored": {"ignore_index": 1},
        "normalizer": {"normalizer": 7.0},
    }[kind]


def by_class(kind, reduction):
    def function(z, batch):
        options = {"reduction": reduction, **options_of(kind, batch)}
        soft = 0.0 if kind == "ignored" else loss(z, batch.shares, EVERYTHING, **options)
        return soft + loss(z, batch.target, EVERYTHING, **options)

    return function


def by_label(kind, reduction):
    def function(z, batch):
        return loss(z, batch.hits, SIGMOID_EVERYTHING, reduction=reduction, **options_of(kind, batch))

    return function


def every_option():
    functions = {}
    for reduction in ("none", "sum", "mean", "weighted_mean", "nonzero_mean"):
        for kind in ("plain", "weights", "ignored", "normalizer"):
            if kind != "normalizer" or reduction.endswith("mean"):
                functions[f"softmax {reduction} {kind}"] = by_class(kind, reduction)
                functions[f"sigmoid {reduction} {kind}"] = by_label(kind, reduction)
    check(functions, "explicit", whole_rows=True)
    some = {name: f for name, f in functions.items() if name.endswith(("weighted_mean weights", "l mean ignored"))}
    for name in MESHES:
        check(some, name, whole_rows=name in WHOLE_ROWS)


def pixels_and_sequences():
    def images(z, batch):
        logits = jnp.stack([z, 2 * z], axis=2)  # (N, C, pixels)
        target = jnp.stack([batch.target, (batch.target + 1) % 4], axis=1)
        return loss(logits, target, EVERYTHING, class_axis=1, reduction="weighted_mean")

    def one_hot(z, batch):
        return loss(z, jax.nn.one_hot(batch.target, 4, dtype=jnp.int32), EVERYTHING)

    def half(z, batch):
        return loss(z.astype(jnp.bfloat16), batch.target[:, None], EVERYTHING).astype(jnp.float32)

    def from_features(z, batch):
        return linear_loss(z, jnp.eye(4, dtype=z.dtype), jnp.ones(4), batch.target, EVERYTHING)

    functions = {"images": images, "one-hot": one_hot, "half": half, "linear_loss": from_features}
    for name in ("explicit", "automatic", "explicit, classes too"):
        check(functions, name, whole_rows=name in WHOLE_ROWS)


def a_sequence_divided_along_itself():
    mesh = jax.make_mesh((2, 2), ("data", "sequence"))
    logits, target = RNG.normal(size=(4, 6, 3)).astype(np.float32), RNG.integers(3, size=(4, 6))

    def step(z, y):
        return jax.value_and_grad(lambda z: loss(z, y, cp.softmax.focal()) + cp.rates.f_beta(z, y))(z)

    placed = [jax.device_put(array, NamedSharding(mesh, P("data", "sequence"))) for array in (logits, target)]
    value, gradient = jax.jit(step)(*placed)
    agree((value, gradient), jax.jit(step)(logits, target))
    assert gradient.sharding.spec == P("data", "sequence", None)


def derivatives(kinds, batch):
    """Ways to differentiate, as one function of the batch."""
    z, y, direction, weight = batch.logits, batch.target, batch.shares, batch.weight

    def by_logits(z):
        return loss(z, y, EVERYTHING, sample_weight=weight)

    def per_sample(row, label):
        return loss(row[None], label[None], EVERYTHING)

    every = {
        "jvp": lambda: jax.jvp(by_logits, (z,), (direction,))[1],
        "forward": lambda: jax.jacfwd(by_logits)(z),
        "backward": lambda: jax.jacrev(lambda z: loss(z, y, EVERYTHING, reduction="none"))(z),
        "linearised": lambda: jax.linearize(by_logits, z)[1](direction),
        "curvature": lambda: jax.jvp(jax.grad(by_logits), (z,), (direction,))[1],
        "hessian": lambda: jax.hessian(lambda z: loss(z, y, cp.softmax.focal()))(z),
        "checkpoint": lambda: jax.grad(jax.checkpoint(lambda z: by_logits(2 * z)))(z),
        "steps": lambda: jax.lax.scan(lambda z, _: (z - jax.grad(by_logits)(z), by_logits(z)), z, length=2),
        "samples": lambda: jax.vmap(jax.grad(per_sample))(z, y),
        "copies": lambda: jax.vmap(lambda by: by_logits(by * z))(jnp.arange(3.0)),
        "by weight": lambda: jax.grad(lambda w: loss(z, y, EVERYTHING, w, reduction="weighted_mean"))(weight),
        "posterior": lambda: jax.grad(lambda z: (LDAM.posterior(z, [0.25] * 4) ** 2).sum())(z),
    }
    return {kind: every[kind]() for kind in kinds or every}


LDAM = cp.softmax.ldam([9, 5, 3, 1])


def derivatives_of_every_kind():
    expected = jax.jit(partial(derivatives, ()))(BATCH)
    for name, kinds in (("explicit", ()), ("automatic", ("jvp", "checkpoint", "samples"))):
        batch = put(*MESHES[name])
        found = jax.jit(partial(derivatives, kinds))(batch)
        agree(found, {kind: expected[kind] for kind in found}, 1e-4)
        for kind in {"curvature", "checkpoint", "samples", "posterior"} & set(found):
            assert found[kind].sharding.is_equivalent_to(batch.logits.sharding, 2), (name, kind)


def of_rate(rate, **options):
    """A rate of the classes, or of the labels where it is asked for as multilabel."""

    def function(z, batch):
        target = batch.hits if options.get("multilabel") else batch.target
        return rate(z, target, sample_weight=batch.weight, **options)

    return function


def with_memory(z, batch):
    _, past = remembered(soft_counts(2 * z, batch.target), decay=0.5)
    counts, _ = remembered(soft_counts(z, batch.target), past, decay=0.5)
    return of_counts("f_beta", counts)


def for_a_goal(z, batch):
    counts, bound = [900, 100], "recall where precision >= 0.5"
    scores, target = z.sum(axis=1), batch.target == 1
    _, state = goal_loss(2 * scores, target, None, bound, counts)
    return goal_loss(scores, target, state, bound, counts)[0]


def each_counted_rate(z, batch):
    """All that are made of counts, of the counts of one batch: each with a weight of its own in the sum."""
    counts = soft_counts(z, batch.target, sample_weight=batch.weight)
    counted = [name for name in cp.rates.names if name not in RANKED]
    return jnp.stack([of_counts(name, counts) for name in counted]) * jnp.arange(1.0, 1 + len(counted))


RANKED = ("roc_auc", "partial_auc", "average_precision")


def rates():
    counted = {
        "each": each_counted_rate,
        "micro": of_rate(cp.rates.f_beta, average="micro"),
        "one class": of_rate(cp.rates.recall, average=2, ignore_index=1),
        "multilabel": of_rate(cp.rates.dice, average="weighted", multilabel=True),
        "memory": with_memory,
        "goal": for_a_goal,
    }
    ranked = {
        "roc_auc": of_rate(cp.rates.roc_auc),
        "partial_auc": of_rate(cp.rates.partial_auc, average=1),
        "average_precision": of_rate(cp.rates.average_precision, average="micro"),
        "logistic": of_rate(cp.rates.roc_auc, average=2, surrogate="logistic", multilabel=True),
    }
    check(counted, "explicit", whole_rows=True)
    check(ranked, "explicit")
    check({"each": each_counted_rate, "goal": for_a_goal}, "automatic", whole_rows=True)
    check({"one class": counted["one class"], "auc": ranked["partial_auc"]}, "explicit, classes too")


def programs_of_other_kinds():
    recipe = cp.softmax.weighted([9, 5, 3, 1])
    plain, mesh = jax.jit(jax.value_and_grad(lambda z, y: loss(z, y, recipe))), MESHES["explicit"][0]
    expected = plain(LOGITS, TARGET)
    z, y, *_ = put(*MESHES["explicit"])
    agree(loss(z, y, recipe), expected[0])  # without jit
    agree(loss(z, jax.device_put(TARGET, NamedSharding(mesh, P())), recipe), expected[0])  # the whole target everywhere
    agree(plain(z, TARGET), expected)
    with jax.disable_jit():
        agree(loss(jnp.asarray(LOGITS), TARGET, recipe), expected[0])
    with jax.set_mesh(mesh):
        agree(plain(LOGITS, TARGET), expected)
        agree(jax.value_and_grad(lambda z: loss(z, y, recipe))(z), expected)
        agree(jax.jit(lambda z, y: loss(jax.sharding.reshard(z, P("batch")), y, recipe))(LOGITS, TARGET), expected[0])
    with jax.set_mesh(MESHES["automatic"][0]):
        placed = jax.jit(lambda z, y: loss(jax.lax.with_sharding_constraint(z, P("batch")), y, recipe))
        agree(placed(LOGITS, TARGET), expected[0])

    by_hand = jax.shard_map(
        lambda z, y: jax.lax.psum(loss(z, y, recipe, normalizer=ROWS), "batch"),
        mesh=mesh,
        in_specs=(P("batch"), P("batch")),
        out_specs=P(),
    )
    compiled = jax.jit(jax.value_and_grad(by_hand)).lower(z, y).compile()
    agree(compiled(z, y), expected)
    assert kernel_calls(compiled) >= 1

    donated = jax.jit(lambda z, y: z - jax.grad(lambda z: loss(z, y, recipe))(z), donate_argnums=0)
    agree(donated(jax.device_put(LOGITS, z.sharding), y), LOGITS - np.asarray(expected[1]))


def exported():
    step = jax.jit(jax.value_and_grad(lambda z, y: loss(z, y, cp.softmax.logit_adjusted([9, 5, 3, 1]))))
    for name, allowed in (("explicit", ["counterpoise_softmax"]), ("automatic", [])):
        z, y, *_ = put(*MESHES[name])
        checks = [jax.export.DisabledSafetyCheck.custom_call(target) for target in allowed]
        saved = jax.export.export(step, platforms=["cpu"], disabled_checks=checks)(z, y).serialize()
        agree(jax.jit(jax.export.deserialize(saved).call)(z, y), step(LOGITS, TARGET))


def rows_that_cannot_be_are_seen():
    target = TARGET.copy()
    target[7] = 9
    for name in ("explicit", "automatic"):
        z, y, *_ = put(*MESHES[name], (LOGITS, target))
        each = jax.jit(lambda z, y: loss(z, y, EVERYTHING, reduction="none"))(z, y)
        assert np.flatnonzero(np.isnan(each)).tolist() == [7]
        assert np.isnan(jax.jit(lambda z, y: loss(z, y, EVERYTHING))(z, y))
        nothing = jax.jit(jax.value_and_grad(lambda z, y: loss(z, 0 * y, EVERYTHING, ignore_index=0)))(z, y)
        agree(nothing, (0.0, 0 * LOGITS))


if __name__ == "__main__":
    every_recipe()
    every_option()
    pixels_and_sequences()
    a_sequence_divided_along_itself()
    derivatives_of_every_kind()
    rates()
    programs_of_other_kinds()
    exported()
    rows_that_cannot_be_are_seen()
    print("all checks passed")
