"""What the checks of a workload can't show is said in the report of a run and of a comparison."""

from __future__ import annotations

import dataclasses

import msgspec
from records import GOOD, case, measured, record

from bench.cases import Case
from bench.measured import Certificate, Check, Finding
from bench.report.table import build
from bench.report.unchecked import unchecked_sentences

GRADIENTS = Check("raw gradients", True, "off by 1e-7", "1e-05 of a leaf's largest")
STEP = Check("step from the same state", True, "off by 1e-7", "1e-05 of a leaf's largest")
WHOLE = Certificate((GRADIENTS, STEP), (0,), (0.7, 0.6), "float32")
SINGLE = Case(workload="nets/net.py", mode="single")
TWO = Case(workload="nets/net.py", mode="data_parallel", data_shards=2)


def said(*of: tuple[Case, Certificate]) -> list[str]:
    return unchecked_sentences(of)


def test_of_what_was_checked_wholly_nothing_is_said() -> None:
    assert said((SINGLE, WHOLE), (TWO, WHOLE)) == []
    assert said((case("single"), WHOLE)) == []  # a preset, whose tests hold it against the tutorial


def test_without_gradients_a_factor_can_hide() -> None:
    (sentence,) = said((TWO, dataclasses.replace(WHOLE, checks=(STEP,))), (SINGLE, WHOLE))
    assert (
        sentence == "nets/net.py: a factor in the gradient that the optimizer hides can't be seen without `gradients`."
    )


def test_single_alone_is_held_against_nothing_but_itself() -> None:
    (sentence,) = said((SINGLE, WHOLE))
    assert sentence.startswith("nets/net.py: single was held against its own step alone, without jit")


def test_an_epoch_of_one_batch_has_no_curve() -> None:
    (sentence,) = said((TWO, dataclasses.replace(WHOLE, losses=(0.7,))))
    assert "an epoch of one batch has no curve of losses" in sentence


def test_what_is_coarse_hides_what_is_small() -> None:
    (sentence,) = said((TWO, dataclasses.replace(WHOLE, products="bfloat16")))
    assert "products in bfloat16 are rounded so much that a smaller mistake" in sentence


def test_a_tolerance_of_the_users_own_is_said_with_what_passed_by_it() -> None:
    asked = tuple(dataclasses.replace(one, allowed="0.05 (--tolerance) of a leaf's largest") for one in WHOLE.checks)
    (sentence,) = said((TWO, dataclasses.replace(WHOLE, checks=asked)))
    assert sentence == (
        "nets/net.py: raw gradients and step from the same state passed by a tolerance of its own: 0.05 (--tolerance) "
        "of a leaf's largest."
    )


def test_modes_that_a_workload_refuses_are_named_with_the_reason() -> None:
    refused = (("data_parallel", "it has no axis"), ("zero1", "it has no `parts`"), ("fsdp", "it has no `parts`"))
    (sentence,) = said((TWO, dataclasses.replace(WHOLE, refused=refused)), (SINGLE, WHOLE))
    assert sentence == (
        "nets/net.py: not run, and not checked: data_parallel, for it has no axis; zero1, fsdp, for it has no `parts`."
    )


def test_a_report_says_so_of_the_cases_that_passed() -> None:
    result = msgspec.structs.replace(measured(SINGLE, [[1.0]]), certificate=GOOD)
    assert any("single was held against its own step alone" in sentence for sentence in build(record(result)).sentences)


def test_a_mode_that_is_said_not_to_be_run_is_no_note_of_the_lint_as_well() -> None:
    finding = Finding("mode", "it isn't measured in ensemble: it sorts", "", "note")
    result = msgspec.structs.replace(
        measured(SINGLE, [[1.0]]), certificate=dataclasses.replace(WHOLE, refused=(("ensemble", "it sorts"),))
    )
    found = msgspec.structs.replace(record(result), findings={SINGLE.workload: (finding,)})
    assert [one for one in build(found).sentences if "it sorts" in one] == [
        "nets/net.py: not run, and not checked: ensemble, for it sorts."
    ]
