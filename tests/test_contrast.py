"""What records may be compared as, which of their cases are of the same thing, and by how much they differ."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import pytest
from histories import bearing
from records import COST, Times, case, computing, elsewhere, measured, on_gpu, record, reducing

from bench.cases import Case
from bench.contrast import Contrast, compared, names
from bench.events import Schedule
from bench.likeness import Unlike, relation
from bench.measured import Block, Collective, Cost
from bench.record import CaseResult, Record, Sample

LOSSES = (0.5, 0.4, 0.3)
PRODUCTS = dataclasses.replace(COST, product_flops=640.0)


def single(latency: Times = ((1.0,), (1.1,), (0.9,)), *, cost: Cost = COST, **kinds: Times) -> CaseResult:
    """`single`, whose steps took these seconds, as it computes everywhere."""
    return computing(
        measured(case("single"), latency, **{"fused": [[0.5]] * len(latency), **kinds}), *LOSSES, cost=cost
    )


def contrast(base: Record, other: Record) -> Contrast:
    (found,) = compared([("a", base), ("b", other)]).contrasts
    return found


# What records compare as


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"host": {"commit": "f" * 40, "dirty": False, "environment": {"XLA_FLAGS": "--xla"}, "os": "another"}},
        {"backend": {"packages": {"jax": "0.11"}, "python": "3.13"}},
        {"complete": False},
        {"schedule": Schedule(restarts=9, rounds=1)},
    ],
)
def test_machines_of_one_kind_compare_as_versions(change: dict[str, Any]) -> None:
    assert relation(record(), elsewhere(record(), **change)) == ("versions", ())


@pytest.mark.parametrize(
    "other",
    [
        elsewhere(record(), host={"cpu_model": "another cpu"}),
        elsewhere(record(), host={"cpu_model": "another cpu", "usable_cores": (0,)}, pinned=False),
        on_gpu(record()),
        elsewhere(on_gpu(record()), alternation="restarts"),
    ],
)
def test_machines_of_different_kinds_compare_as_hardware(other: Record) -> None:
    assert relation(record(), other) == ("hardware", ())
    assert relation(other, record()) == ("hardware", ())


def test_more_of_one_accelerator_beside_another_cpu_is_of_one_kind_and_another_accelerator_is_not() -> None:
    more = elsewhere(on_gpu(record()), host={"cpu_model": "a third"}, backend={"device_count": 8})
    assert relation(on_gpu(record()), more)[0] == "versions"
    assert relation(on_gpu(record()), on_gpu(record(), "a newer gpu"))[0] == "hardware"


@pytest.mark.parametrize(
    ("change", "unlike"),
    [
        ({"host": {"usable_cores": (0, 1, 2, 3)}}, Unlike("usable cores", "2", "4")),
        ({"pinned": False}, Unlike("workers kept on cores", "yes", "no")),
        ({"alternation": "restarts"}, Unlike("alternation", "rounds", "restarts")),
    ],
)
def test_the_same_cpu_otherwise_divided_is_not_comparable(change: dict[str, Any], unlike: Unlike) -> None:
    assert relation(record(), elsewhere(record(), **change)) == ("not comparable", (unlike,))


SETTINGS = {
    "jax_enable_x64": "False",
    "jax_default_matmul_precision": "None",
    "jax_threefry_partitionable": "True",
}


@pytest.mark.parametrize(("key", "value"), [("jax_enable_x64", "True"), ("jax_threefry_partitionable", "False")])
def test_settings_that_change_what_is_computed_are_not_comparable_anywhere(key: str, value: str) -> None:
    base = elsewhere(record(), backend={"settings": SETTINGS})
    other = elsewhere(record(), backend={"settings": {**SETTINGS, key: value}})
    unlike = (Unlike(key, SETTINGS[key], value),)
    assert relation(base, other) == relation(base, on_gpu(other)) == ("not comparable", unlike)


def test_the_precision_of_products_is_a_matter_of_accelerators() -> None:
    # "Has no impact on CPU backends", says jax.lax.Precision.
    base = elsewhere(record(), backend={"settings": SETTINGS})
    exact = elsewhere(base, backend={"settings": {**SETTINGS, "jax_default_matmul_precision": "highest"}})
    assert relation(base, exact)[0] == "versions"
    assert relation(base, on_gpu(exact))[0] == "hardware"
    unlike = (Unlike("jax_default_matmul_precision", "None", "highest"),)
    assert relation(on_gpu(base), on_gpu(exact)) == ("not comparable", unlike)


def test_a_setting_that_only_one_record_knows_is_in_no_ones_way() -> None:
    newer = elsewhere(record(), backend={"settings": {"jax_some_setting": "1"}})
    assert relation(record(), newer)[0] == relation(newer, record())[0] == "versions"


# Ratios


def test_a_ratio_says_how_many_times_as_fast_with_the_interval_of_both_runs() -> None:
    # As in test_stats: by scipy 4.0419 to 6.0205, the restarts' medians being these.
    quick = single([[0.2, 0.19, 0.3], [0.23], [0.21], [0.17], [0.205]])
    found = contrast(record(single()), on_gpu(record(quick))).matches["tutorial/single-1/m1/b32"]
    assert found.ratio["latency"].value == pytest.approx(1.0 / 0.205)
    assert found.ratio["latency"].low == pytest.approx(4.04193, rel=1e-4)
    assert found.ratio["latency"].high == pytest.approx(6.02045, rel=1e-4)
    assert found.ratio["fused"].value == pytest.approx(1)
    assert not found.unlike
    assert found.checked


def test_examples_a_second_are_compared_by_the_best_way_of_each() -> None:
    # The base is best fused, at 0.5 s a step, the other in a chain, at 0.1 s.
    other = single([[0.2]] * 3, throughput=[[0.1]] * 3)
    found = contrast(record(single()), on_gpu(record(other))).matches["tutorial/single-1/m1/b32"]
    assert found.rate is not None
    assert found.rate.value == pytest.approx(5)


def test_one_restart_has_no_interval() -> None:
    found = contrast(record(single([[1.0, 2.0]])), record(single())).matches["tutorial/single-1/m1/b32"]
    assert found.ratio["latency"].low is None
    assert found.ratio["latency"].value == pytest.approx(1.5)


def test_what_more_devices_than_cores_simulate_is_marked() -> None:
    four = record(computing(measured(case("data_parallel", 4), [[1.0]] * 3), *LOSSES))
    assert contrast(four, on_gpu(four)).matches["tutorial/data_parallel-4/m1/b32"].oversubscribed
    assert not contrast(on_gpu(four), on_gpu(four)).matches["tutorial/data_parallel-4/m1/b32"].oversubscribed


def test_the_reference_workload_says_how_much_faster_the_machine_was() -> None:
    def timed(*seconds: float) -> Record:
        of = single()
        more = tuple(Sample(i, n, "reference", Block(10, 10 * s)) for i, s in enumerate(seconds) for n in range(3))
        return record(msgspec.structs.replace(of, samples=(*of.samples, *more)), measured(case("fsdp", 2), [[1.0]]))

    found = contrast(timed(1e-4, 1.1e-4, 0.9e-4), timed(2e-5, 2.3e-5, 2.1e-5, 1.7e-5, 2.05e-5)).reference["tutorial"]
    assert (found.value, found.low) == (pytest.approx(1 / 0.205), pytest.approx(4.04193, rel=1e-4))  # as above
    assert contrast(timed(1e-4), record(single())).reference == {}


def bears(of: Case, seconds: float) -> CaseResult:
    return bearing(measured(of, [[1.0]] * 3), [[seconds] * 2] * 3)


def test_references_are_compared_in_the_rounds_of_the_same_workload_only() -> None:
    wide = case("single", workload="wide")
    base = record(bears(case("single"), 1e-4), bears(wide, 1e-4))
    found = contrast(base, record(bears(case("single"), 1e-4), bears(wide, 2e-4))).reference
    assert {workload: factor.value for workload, factor in found.items()} == pytest.approx(
        {"tutorial": 1.0, "wide": 0.5}
    )
    assert list(contrast(base, record(bears(wide, 1e-4))).reference) == ["wide"]


def test_references_of_workers_with_other_numbers_of_devices_are_not_compared() -> None:
    one, two = bears(case("single"), 1e-4), bears(case("data_parallel", 2), 8e-5)
    assert contrast(record(one), record(two)).reference == {}
    found = contrast(record(two, one), record(one, two)).reference["tutorial"]  # each bears its own
    assert found.value == pytest.approx(1)


# The best of each


def test_the_best_way_of_each_record_is_of_the_same_training_and_shows_hardware() -> None:
    def at_batch(batch: int, step_s: float) -> CaseResult:
        return computing(measured(dataclasses.replace(case("single"), batch=batch), [[step_s]] * 3), *LOSSES)

    quick = computing(measured(case("data_parallel", 4), [[1e-6]] * 3), *LOSSES)  # on 2 cores
    base = record(single(), at_batch(64, 0.5), at_batch(128, 1e-6), quick)
    (small, large) = contrast(base, on_gpu(record(single([[0.25]] * 3), at_batch(64, 0.1)))).bests
    assert [best.base.case.name for best in (small, large)] == ["tutorial/single-1/m1/b32", "tutorial/single-1/m1/b64"]
    assert small.rate.value == pytest.approx(0.5 / 0.25)  # the base's fused
    assert large.rate.value == pytest.approx(5)


def test_nothing_is_best_of_what_is_not_the_same_computation_or_not_of_other_hardware() -> None:
    other = computing(single(), 0.5, 0.1)
    assert contrast(record(single()), on_gpu(record(other))).bests == ()
    assert contrast(record(single()), record(single())).bests == ()


# Cases


def test_cases_are_joined_by_name_and_none_is_lost() -> None:
    ensemble, waiting = measured(case("ensemble", members=8), [[1.0]] * 3), CaseResult(case("data_parallel"))
    broken = CaseResult(case("data_parallel"), "broken", "it hung")
    found = contrast(record(single(), ensemble, waiting), record(broken, single(), measured(case("fsdp", 2), [[1.0]])))
    assert list(found.matches) == ["tutorial/single-1/m1/b32"]
    assert found.missing == (("tutorial/ensemble-1/m8/b32",), ("tutorial/fsdp-2/m1/b32",))
    assert [[s.result.status for s in pair] for pair in found.unmeasured] == [["waiting", "broken"]]
    assert not found.whole
    assert contrast(record(single(), ensemble), record(single())).whole


def test_records_without_a_case_in_common_are_no_whole_comparison() -> None:
    assert not contrast(record(single()), record(measured(case("ensemble", members=8), [[1.0]]))).whole


def test_records_that_are_not_comparable_have_no_ratios() -> None:
    found = contrast(record(single()), elsewhere(record(single()), pinned=False))
    assert (found.relation, found.matches, found.unmeasured) == ("not comparable", {}, ())


def unlike(base: CaseResult, other: CaseResult, *, gpu: bool = False, **settings: str) -> tuple[Unlike, ...]:
    """Why a case isn't comparable between records on a CPU, or on a CPU and a GPU."""
    of_other = elsewhere(record(other), backend={"settings": settings})
    (found,) = contrast(record(base), on_gpu(of_other) if gpu else of_other).matches.values()
    assert bool(found.ratio) is not bool(found.unlike)
    return found.unlike


def test_losses_that_differ_by_more_than_roundings_are_of_another_computation() -> None:
    # Of the largest loss, 0.5, a thousandth is allowed on CPUs.
    assert unlike(single(), computing(single(), 0.5, 0.4004, 0.3)) == ()
    assert unlike(single(), computing(single(), 0.5, 0.4006, 0.3)) == (Unlike("loss of step 2", "0.4", "0.4006"),)


def test_products_that_a_gpu_rounds_to_tf32_allow_losses_to_differ_more() -> None:
    # Four thousandths, as between the sides of `ab`; none more where the GPU computes in float32.
    other = computing(single(), 0.5, 0.4019, 0.3)
    assert unlike(single(), other, gpu=True) == ()
    assert unlike(single(), computing(single(), 0.5, 0.4021, 0.3), gpu=True) != ()
    assert unlike(single(), other, gpu=True, jax_default_matmul_precision="highest") != ()


def test_an_epoch_of_another_length_is_of_another_computation() -> None:
    assert unlike(single(), computing(single(), 0.5, 0.4)) == (Unlike("steps of an epoch", "3", "2"),)


def test_a_loss_that_is_no_number_is_like_none() -> None:
    assert [u.key for u in unlike(single(), computing(single(), 0.5, float("nan"), 0.3))] == ["loss of step 2"]


def test_losses_are_not_held_against_each_other_where_they_are_not_of_the_same_steps() -> None:
    # Long steps are certified one by one, from the first; others as one program, from the second.
    long = computing(measured(case("single"), [[1.0]] * 3), 2.0, 1.5, 1.2)
    for base, other in ((single(), long), (long, single()), (single(), measured(case("single"), [[1.0]] * 3))):
        (found,) = contrast(record(base), on_gpu(record(other))).matches.values()
        assert found.ratio
        assert not found.checked


def test_of_other_hardware_other_work_under_the_same_name_is_not_comparable() -> None:
    more = dataclasses.replace(PRODUCTS, product_flops=800.0)
    assert unlike(single(cost=PRODUCTS), single(cost=more), gpu=True) == (Unlike("FLOPs of products", "640", "800"),)
    assert unlike(single(cost=PRODUCTS), single(cost=more)) == ()  # of a version it is what one wants to know
    assert unlike(single(cost=PRODUCTS), single(cost=COST), gpu=True) == ()  # not counted in older records
    another = dataclasses.replace(COST, flops=2000.0, accessed_bytes=1.0, temporary_bytes=9)
    assert unlike(single(), single(cost=another), gpu=True) == ()  # as compilers count


def test_of_other_hardware_other_collectives_are_not_comparable_but_as_many_of_them_as_a_compiler_likes() -> None:
    split = dataclasses.replace(COST, collectives=(Collective("all-reduce", 2, 50, 2),))
    assert unlike(single(cost=reducing(2, 100)), single(cost=split), gpu=True) == ()
    gathered = dataclasses.replace(COST, collectives=(Collective("all-gather", 1, 100, 2),))
    found = unlike(single(cost=reducing(2, 100)), single(cost=gathered), gpu=True)
    assert found == (Unlike("collectives", "all-reduce over 2", "all-gather over 2"),)


# What records are called


def test_records_are_called_by_their_file_and_by_as_many_folders_as_tell_them_apart() -> None:
    assert names([Path("results/cpu.json"), Path("h100.v2.json")]) == ["cpu", "h100.v2"]
    assert names([Path("a/x/run.json"), Path("b/x/run.json"), Path("cpu.json")]) == ["a/x/run", "b/x/run", "cpu"]
    assert names([Path("run.json"), Path("b/run.json")]) == ["run", "b/run"]
    assert names([Path("run.json"), Path("run.txt")]) == ["run.json", "run.txt"]
