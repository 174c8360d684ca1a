"""Boosters that two workers train together, one of them without a positive; run by test_boosters_on_workers.py in each.

Arguments: xgboost, lightgbm, or lightgbm-own for its own objective; this worker's place, or "alone"; the port of the
meeting point (XGBoost) or the ports of both (LightGBM); the file for the probabilities and the loss.
"""

import sys

import numpy as np

import counterpoise as cp

RNG = np.random.default_rng(0)
ROWS = RNG.integers(0, 20, size=(4000, 4)).astype(float)  # few values: workers and one process cut them alike
LABEL = (ROWS[:, 0] + RNG.normal(size=4000) > 19).astype(int)
ORDER = np.argsort(LABEL, kind="stable")
SHARDS = np.split(ORDER, [1500])  # the first without a positive
WEIGHT = RNG.exponential(size=4000)
COUNTS = cp.count(LABEL)
ROUNDS = 20


def with_xgboost(rows, label, weight, **settings):
    import xgboost

    from counterpoise.xgboost import Objective

    objective, history = Objective(cp.sigmoid.focal()), {}
    start = objective.initial_logits(COUNTS)
    settings |= {"base_score": start, "nthread": 1, "max_depth": 3, "disable_default_eval_metric": True}
    data = xgboost.DMatrix(rows, label, weight=weight)
    booster = xgboost.train(
        settings,
        data,
        ROUNDS,
        obj=objective,
        custom_metric=objective.metric,
        evals=[(data, "rows")],
        evals_result=history,
        verbose_eval=False,
    )
    return objective.predict_proba(booster, ROWS)[:, 1], history["rows"]["loss"][-1]


def with_lightgbm(rows, label, *, own, **settings):
    import lightgbm

    from counterpoise.lightgbm import Objective, bake_start

    settings |= {"verbosity": -1, "num_threads": 1, "num_leaves": 8, "max_bin": 63}
    if own:
        booster = lightgbm.train(settings | {"objective": "binary"}, lightgbm.Dataset(rows, label), ROUNDS)
        return booster.predict(ROWS), 0.0
    objective = Objective(cp.sigmoid.binary_cross_entropy())
    start = objective.start(COUNTS, rows=len(label))
    settings |= {"objective": objective}
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, label, init_score=start), ROUNDS)
    bake_start(booster, start)
    return objective.predict_proba(booster, ROWS)[:, 1], 0.0


def on_a_worker(host, place, ports):
    rows = SHARDS[place]
    shard = ROWS[rows], LABEL[rows]
    if host == "xgboost":
        from xgboost import collective

        where = {"dmlc_tracker_uri": "127.0.0.1", "dmlc_tracker_port": int(ports[0]), "dmlc_task_id": str(place)}
        with collective.CommunicatorContext(**where):
            return with_xgboost(*shard, WEIGHT[rows])
    machines = ",".join(f"127.0.0.1:{port}" for port in ports)
    network = {"machines": machines, "local_listen_port": int(ports[place]), "num_machines": 2, "tree_learner": "data"}
    return with_lightgbm(*shard, own=host == "lightgbm-own", pre_partition=True, **network)


host, place, ports, file = sys.argv[1], sys.argv[2], sys.argv[3].split(","), sys.argv[4]
if place == "alone":
    probability, value = with_xgboost(ROWS, LABEL, WEIGHT)
else:
    probability, value = on_a_worker(host, int(place), ports)
np.savez(file, probability=probability, value=value)
