"""The kernels among processes and threads: forks, instruction sets by name, and nothing of the process changed."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import counterpoise as cp
import counterpoise._kernels as _kernels
from counterpoise.losses.kernel import threads_here
from instruction_sets import HERE

pytestmark = pytest.mark.slow

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
PREPARED = """
    import os, sys, threading, traceback
    import numpy as np
    import counterpoise as cp

    def fail(found):  # an exception in a thread or a finaliser would be printed, and the exit code still be 0
        traceback.print_exception(found.exc_type, found.exc_value, found.exc_traceback)
        sys.stderr.flush()
        os._exit(70)
    threading.excepthook = sys.unraisablehook = fail

    rng = np.random.default_rng(1)
    logits, target = rng.normal(size=(40000, 4)).astype(np.float32), rng.integers(4, size=40000)
    def call():
        value, gradient = cp.loss_and_gradient(logits, target, cp.softmax.focal())
        return float(value), gradient.tobytes()
"""


def run(script, **environment):
    """What a fresh interpreter prints."""
    source = str(Path(cp.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "3", **environment}
    script = textwrap.dedent(PREPARED) + textwrap.dedent(script)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env=environment)


def printed(script, **environment):
    done = run(script, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@needs_fork
def test_child_of_a_fork_computes_the_same_and_ends():
    script = """
        expected = call()
        for _ in range(5):
            child = os.fork()
            if child == 0:
                os._exit(0 if call() == expected == call() else 1)
            print(os.waitpid(child, 0)[1])
        print(call() == expected)
    """
    assert printed(script) == ["0"] * 5 + ["True"]


@needs_fork
def test_grandchild_computes_the_same():
    script = """
        expected = call()
        child = os.fork()
        if child == 0:
            call()
            grandchild = os.fork()
            if grandchild == 0:
                os._exit(0 if call() == expected else 1)
            os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert printed(script) == ["0"]


@needs_fork
def test_fork_while_other_threads_compute():
    script = """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        expected, over = call(), threading.Event()
        def work():
            while not over.is_set():
                call()
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        codes = []
        for _ in range(20):
            child = os.fork()
            if child == 0:
                os._exit(0 if call() == expected else 1)
            codes.append(os.waitpid(child, 0)[1])
        over.set()
        for thread in threads:
            thread.join()
        print(sum(codes))
    """
    assert printed(script) == ["0"]


@needs_fork
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method, tmp_path):
    script = tmp_path / "script.py"
    body = """
        import multiprocessing
        def work(_):
            return call()[0]
        if __name__ == "__main__":
            expected = call()[0]
            with multiprocessing.get_context(METHOD).Pool(2) as pool:
                print(pool.map(work, range(4)) == [expected] * 4)
    """
    script.write_text(textwrap.dedent(PREPARED) + textwrap.dedent(body).replace("METHOD", repr(method)))
    environment = {**os.environ, "PYTHONPATH": str(Path(cp.__file__).parents[1]), "OMP_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, env=environment)
    assert (done.returncode, done.stdout.split()) == (0, ["True"]), done.stderr


@pytest.mark.parametrize(
    "failing",
    ["threading.Thread(target=lambda: 1 / 0).start()", "type('Broken', (), {'__del__': lambda self: 1 / 0})()"],
    ids=["thread", "finaliser"],
)
def test_a_script_here_fails_where_its_threads_and_finalisers_do(failing):
    done = run(f"{failing}; print('went on')")
    assert done.returncode == 70 and "ZeroDivisionError" in done.stderr


def test_threads_that_compute_at_once():
    rng = np.random.default_rng(1)
    batches = [
        (rng.normal(size=(rows, classes)).astype(dtype), rng.integers(classes, size=rows))
        for rows, classes in ((30000, 2), (20000, 4), (900, 100), (50, 3))
        for dtype in (np.float32, np.float64)
    ]
    recipe = cp.softmax.focal()
    expected = [cp.loss_and_gradient(*batch, recipe) for batch in batches]

    def work(start):
        right = 0
        for turn in range(24):
            place = (start + turn) % len(batches)
            found = cp.loss_and_gradient(*batches[place], recipe)
            right += found[0] == expected[place][0] and np.array_equal(found[1], expected[place][1])
        return right

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [24] * 6


def test_new_recipes_in_many_threads():
    logits, target = np.zeros((3, 4)), np.array([0, 1, 2])

    def work(start):
        weights = 1.0 + start + np.arange(300)  # more than are kept
        recipes = (cp.softmax.weighted(weight=[weight] * 4, normalize="none") for weight in weights)
        return [cp.loss(logits, target, recipe) for recipe in recipes] / weights

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(work, range(0, 4000, 1000)):
            np.testing.assert_allclose(found, np.full(300, np.log(4)), rtol=1e-12)


@pytest.mark.parametrize("name", HERE)
def test_environment_forces_an_instruction_set(name):
    script = "from counterpoise import _kernels; print(_kernels.instruction_set())"
    assert printed(script, COUNTERPOISE_ISA=name) == [name]


@pytest.mark.parametrize("name", ["", None])
def test_best_instruction_set_is_used_unasked(name):
    script = f"""
        import subprocess
        environment = dict(os.environ)
        environment.pop("COUNTERPOISE_ISA", None)
        if {name!r} is not None:
            environment["COUNTERPOISE_ISA"] = {name!r}
        code = "from counterpoise import _kernels; print(_kernels.instruction_set())"
        print(subprocess.check_output([sys.executable, "-c", code], env=environment, text=True))
    """
    assert printed(script) == [HERE[0]]


def test_unknown_instruction_set_is_an_error_that_lists_those_that_run():
    done = run("", COUNTERPOISE_ISA="z80")
    assert done.returncode != 0
    assert f"COUNTERPOISE_ISA is 'z80', which does not run here; choose one of {', '.join(HERE)}" in done.stderr


def test_instruction_set_that_is_none_is_an_error():
    with pytest.raises(ValueError, match="no such instruction set"):
        _kernels.use_instruction_set("z80")


@pytest.mark.parametrize("name", HERE)
def test_denormal_numbers_stay(name):
    script = """
        call()
        tiny = np.float32(1e-40)
        print(tiny * np.float32(1) != 0, np.float64(1e-310) / 2 != 0, sys.float_info.min / 2 != 0)
        found = []
        def work():
            found.append(bool(tiny * np.float32(1) != 0))
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        print(*found)
    """
    assert printed(script, COUNTERPOISE_ISA=name) == ["True"] * 4


COUNTED = """
    call()
    print(len(os.listdir("/proc/self/task")) - before)
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.parametrize(("asked", "more"), [("1", 0), ("2", 1), ("4", 3)])
def test_as_many_threads_as_asked_for(asked, more):
    script = 'before = len(os.listdir("/proc/self/task"))\n' + textwrap.dedent(COUNTED)
    # NumPy's own library of linear algebra starts its threads when it is loaded
    assert printed(script, OMP_NUM_THREADS=asked, OPENBLAS_NUM_THREADS="1") == [str(more)]


@pytest.mark.parametrize("asked", ["3", " 3 ", "3,8", "003", "3 , 2"])
def test_the_first_number_asked_for_counts(asked, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads_here() == 3


@pytest.mark.parametrize("asked", ["99999999999999999999", "1000000", "9" * 6000])
def test_nobody_gets_endless_threads(asked, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads_here() == 256
    assert cp.loss(np.zeros((4, 2)), np.zeros(4, np.int64), cp.softmax.focal()) > 0


@pytest.mark.parametrize("asked", ["", "0", "-1", "many", "²", "1e3", "0x4", "٣", "3.5", ",", "4 threads"])
def test_what_is_no_number_of_threads_counts_as_nothing(asked, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    usual = threads_here()
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads_here() == usual >= 1


@needs_proc
def test_small_calls_start_no_thread():
    script = """
        before = len(os.listdir("/proc/self/task"))
        cp.loss_and_gradient(logits[:100], target[:100], cp.softmax.focal())
        print(len(os.listdir("/proc/self/task")) - before)
    """
    assert printed(script) == ["0"]


TORCH = """
    import torch
    torch.set_num_threads(3)
    z, y = torch.tensor(logits, requires_grad=True), torch.tensor(target)
    def backpropagated():
        value = cp.loss(z, y, cp.softmax.focal())
        return value.item(), torch.autograd.grad(value, z)[0].numpy().tobytes()
"""


@needs_fork
def test_child_of_a_process_whose_torch_has_used_its_threads_computes_the_same():
    script = (
        TORCH
        + """
    expected = backpropagated()
    torch.nn.functional.cross_entropy(z, y)
    child = os.fork()
    if child == 0:
        os._exit(0 if backpropagated() == expected == backpropagated() else 1)
    print(os.waitpid(child, 0)[1], backpropagated() == expected)
    """
    )
    assert printed(script) == ["0", "True"]


def test_torchs_threads_and_our_own_give_the_same_bits():
    script = (
        TORCH
        + """
    from counterpoise.losses.pytorch import plan
    with_theirs = backpropagated()
    plan.REGION = 0
    print(with_theirs == backpropagated())
    """
    )
    assert printed(script) == ["True"]


@needs_proc
def test_torch_asked_for_one_thread_gets_one():
    script = """
        import torch
        torch.set_num_threads(1)
        z, y = torch.tensor(logits, requires_grad=True), torch.tensor(target)
        before = len(os.listdir("/proc/self/task"))
        cp.loss(z, y, cp.softmax.focal())
        print(len(os.listdir("/proc/self/task")) - before)
    """
    assert printed(script) == ["0"]


@pytest.mark.parametrize("argument", ["logits", "sample_weight"])
def test_tensor_that_stands_for_zeros_without_memory(argument):
    script = f"""
        import torch
        given = {{"logits": torch.ones(6, 4), "sample_weight": torch.ones(6)}}
        given[{argument!r}] = torch._efficientzerotensor(given[{argument!r}].shape)
        found = cp.loss(given["logits"], torch.zeros(6, dtype=torch.int64), cp.softmax.focal(), given["sample_weight"])
        given[{argument!r}] = torch.zeros(given[{argument!r}].shape)
        true = cp.loss(given["logits"], torch.zeros(6, dtype=torch.int64), cp.softmax.focal(), given["sample_weight"])
        print(bool(torch.isclose(found, true)))
    """
    assert printed(script) == ["True"]
