"""What `@catches` promises, on a package of two lines; run as pytest runs it where the cases count."""

import importlib
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _support.gloo import run_on_two_ranks
from _support.mutants import Bug, must_notice, mutated, planted_bug
from vistok.losses import quantization
from vistok.losses.chroma import chroma_loss

pytest_plugins = ["pytester"]
MODULE = "vistok.losses.quantization"
SWAPPED = Bug(MODULE, "codebook + beta * commitment", "beta * codebook + commitment")
HARMLESS = Bug(MODULE, "codebook + beta * commitment", "beta * commitment + codebook")


def loss(beta=0.5):
    import torch

    z_e, z_q = torch.zeros(2, requires_grad=True), torch.ones(2, requires_grad=True)
    quantization.codebook_commitment_loss(z_e, z_q, beta=beta).backward()
    return z_q.grad.tolist()


def check():
    assert loss() == [1.0, 1.0]


def test_a_bug_that_the_test_notices_is_caught():
    check()
    must_notice(SWAPPED, check, globals())


def test_a_harmless_edit_is_reported_as_not_caught():
    with pytest.raises(pytest.fail.Exception, match=r"not caught: quantization: codebook \+ beta"):
        must_notice(HARMLESS, check, globals())


@pytest.mark.parametrize(("old", "times"), [("no such text", 0), ("beta: float = 0.25", 2)])
def test_text_that_is_not_there_exactly_once_is_an_error_and_no_catch(old, times):
    with pytest.raises(ValueError, match=f"{times} times"):
        must_notice(Bug(MODULE, old, "pass"), check, globals())


def test_a_module_that_is_not_there_and_a_bug_that_cannot_run_are_errors_and_no_catch():
    with pytest.raises(ModuleNotFoundError, match="quantisation"):
        must_notice(Bug("vistok.losses.quantisation", "a", "b"), check, globals())
    with pytest.raises(SyntaxError):
        must_notice(Bug(MODULE, "codebook + beta * commitment", "codebook +"), check, globals())
    with pytest.raises(ValueError, match="does not run"):
        must_notice(Bug(MODULE, "codebook + beta * commitment", "codebok"), check, globals())


def test_the_package_comes_back_as_it_was():
    modules = {name: module for name, module in sys.modules.items() if name.startswith("vistok.losses")}
    names = {"chroma_loss": chroma_loss, "quantization": quantization}
    must_notice(SWAPPED, check, globals())
    assert {name: module for name, module in sys.modules.items() if name.startswith("vistok.losses")} == modules
    assert all(globals()[name] is value for name, value in names.items())
    assert importlib.import_module("vistok").losses is modules["vistok.losses"]
    assert planted_bug() is None


def test_names_of_functions_and_modules_mean_the_copy_and_others_stay():
    seen = []

    def look():
        seen.extend([chroma_loss, quantization, pytest, planted_bug()])
        raise AssertionError

    before = [chroma_loss, quantization]
    must_notice(SWAPPED, look, globals())
    assert seen[0] is not before[0]
    assert seen[1] is not before[1]
    assert seen[2:] == [pytest, SWAPPED]


def test_a_property_ends_at_its_first_failure_and_holds_again_afterwards():
    calls = []

    @settings(max_examples=30)
    @given(st.floats(0.25, 0.75))
    def prop(beta):
        calls.append(beta)
        assert loss(beta) == [1.0, 1.0]

    must_notice(SWAPPED, prop, globals())
    assert len(calls) == 1
    with pytest.raises(pytest.fail.Exception, match="not caught"):
        must_notice(HARMLESS, prop, globals())
    assert len(calls) > 5
    prop()


def gradients(rank):
    return loss(), rank


def test_ranks_run_on_the_bug_too():
    assert run_on_two_ranks(gradients) == [([1.0, 1.0], 0), ([1.0, 1.0], 1)]

    def on_ranks():
        assert run_on_two_ranks(gradients) == [([1.0, 1.0], 0), ([1.0, 1.0], 1)]

    must_notice(SWAPPED, on_ranks, globals())
    on_ranks()


def test_a_fresh_import_differs_and_only_while_it_is_open():
    with mutated("vistok.losses", "quantization", SWAPPED.old, SWAPPED.new) as copy:
        assert copy.codebook_commitment_loss is not quantization.codebook_commitment_loss
        assert importlib.import_module("vistok.losses") is copy
    assert importlib.import_module("vistok.losses") is not copy


FILES = {
    "conftest": "from _support.mutants import pytest_generate_tests, pytest_pyfunc_call",
    "sums/__init__": "",
    "sums/arithmetic": "def add(a, b):\n    return a + b\n",
    "test_arithmetic": """
        import pytest
        from hypothesis import given, strategies as st
        from _support.mutants import catches
        from sums.arithmetic import add

        @pytest.fixture
        def two():
            return 2

        @catches("sums.arithmetic", "a + b", "a - b")
        @catches("sums.arithmetic", "a + b", "b + a")
        @pytest.mark.parametrize("one", [1, 5])
        def test_the_sum(one, two):
            assert add(one, two) == one + 2

        @catches("sums.arithmetic", "a + b", "2 * a")
        @given(st.integers(), st.integers())
        def test_any_sum(a, b):
            assert add(a, b) - b == a

        @catches("sums.arithmetic", "a + b", "a * b")
        def test_a_failure_stays_a_failure():
            assert add(1, 2) == 4

        @catches("sums.arithmetic", "a + b", "a * b")
        def test_a_skip_is_no_catch():
            pytest.skip("not here")
    """,
}


def test_each_bug_is_a_case_of_its_own_and_the_test_itself_runs_too(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # names are cut in a narrow terminal, and reasons where CI is not set
    pytester.makepyfile(**FILES)
    pytester.syspathinsert()
    result = pytester.runpytest("-p", "no:cacheprovider", "-rfs", "--color=no")
    result.assert_outcomes(passed=7, failed=3, skipped=2)
    result.stdout.fnmatch_lines(
        [
            "FAILED *::test_the_sum[[]*a + b -> b + a-1[]] - *",
            "FAILED *::test_the_sum[[]*a + b -> b + a-5[]] - *",
            "FAILED *::test_a_failure_stays_a_failure - *",
        ]
    )
    reasons = [line for line in result.outlines if line.startswith("not caught: ")]
    assert reasons == ["not caught: arithmetic: a + b -> b + a"] * 2
