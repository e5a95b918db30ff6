"""What is said of the fast path, and how cases are called."""

import dataclasses

from records import case, measured

from bench.cases import Case
from bench.report.names import in_prose, label
from bench.report.paths import path_sentences

PLAIN = case("ensemble", members=64)
FAST = dataclasses.replace(PLAIN, path="fast")


def test_the_gain_of_a_fast_case_is_over_the_plain_one_of_its_rounds_in_one_program() -> None:
    plain = measured(PLAIN, [[9.0], [9.0]], fused=[[4.0], [4.2]])
    fast = measured(FAST, [[9.0], [9.0]], fused=[[1.0], [1.0]])
    assert path_sentences([plain, fast]) == [
        "tutorial: fast ensemble with 64 members makes a fused step 4.1x (3.0 to 5.6) as fast as the plain path."
    ]


def test_where_steps_were_only_waited_for_and_do_not_differ_that_is_said() -> None:
    plain, fast = measured(PLAIN, [[1.0], [1.1]]), measured(FAST, [[1.1], [1.0]])
    (said,) = path_sentences([plain, fast])
    assert " makes a waited step 1.0x (" in said
    assert said.endswith("as fast as the plain path: no clear difference.")


def test_nothing_is_said_without_the_plain_case_or_a_round_of_both() -> None:
    fast = measured(FAST, [[1.0]])
    assert path_sentences([fast]) == []
    assert path_sentences([measured(PLAIN, [[1.0]]), measured(dataclasses.replace(FAST, batch=64), [[1.0]])]) == []


def test_a_case_is_called_by_what_its_workload_leaves_open() -> None:
    mesh = Case(workload="tutorial", mode="ensemble_data", member_shards=4, data_shards=2, members=8, path="fast")
    assert in_prose(mesh) == "fast ensemble_data with 8 members on 4x2 devices"
    assert label(mesh) == "fast ensemble_data, 4x2 devices, 8 members"
    single = Case(workload="tutorial", mode="single", batch=64)
    assert in_prose(single) == "single at batch 64"
    assert label(single) == "single, batch 64"
    assert in_prose(case("single"), batch=True) == "single at batch 32"
    resized = dataclasses.replace(case("single"), hidden_layers=2, hidden_dim=64, path="fast")
    assert in_prose(resized) == "fast single (h2x64)"
    assert label(resized) == "fast single, h2x64"
