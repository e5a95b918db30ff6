"""What is said of a record: digits, table, sentences; on a terminal, in a pipe and as Markdown."""

import contextlib
import dataclasses
import io
import math
import os
import re
import termios
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import COST, Times, case, measured, record, taken_apart
from rich.cells import cell_len
from rich.console import Console

from bench.cases import Case
from bench.measured import Certificate, Check, Kind
from bench.record import CaseResult, Record
from bench.report import markdown, needs, quantity, table, terminal
from bench.report.document import Column, Table
from bench.report.words import sentences
from bench.stats import Estimate
from bench.summary import summaries

GOLDEN = Path(__file__).parent / "golden" / "report.md"
ANSI = re.compile(r"\x1b\[[\d;]*m")


def estimate(value: float, spread: float | None = None) -> Estimate:
    """A value with that relative half-width."""
    if spread is None:
        return Estimate(value, None, None, 1)
    return Estimate(value, value / (1 + spread), value * (1 + spread), 3)


def around(step_s: float, percent: float = 1) -> Times:
    """Three restarts of two rounds: one at the value, one above it, one below."""
    factor = 1 + percent / 100
    return [[step_s] * 2, [step_s * factor] * 2, [step_s / factor] * 2]


def said(of: Record) -> str:
    """The sentences on a record, a line each."""
    return "\n".join(sentences(of, summaries(of)))


def everything() -> Record:
    """A record in which something of each kind happened."""
    broken = CaseResult(
        case("ensemble_data", (4, 2), members=8), "broken", "ended by SIGABRT; it last printed: F00 | a", COST
    )
    deterministic = dataclasses.replace(case("data_parallel", 2), deterministic=True)
    return record(
        measured(case("single"), around(8e-5), throughput=around(6e-5), fused=around(6e-6)),
        measured(case("ensemble", members=8), around(1e-4), throughput=around(1e-4), fused=around(2.4e-5, 12)),
        measured(case("data_parallel", 2), around(4e-4), throughput=around(4e-4), fused=around(1.2e-4)),
        measured(deterministic, around(6e-4)),
        measured(case("data_parallel", 8), around(2e-3, 60)),
        broken,
        CaseResult(case("ensemble_data", (2, 1), members=8)),
        measured(case("single", workload="wide"), around(0.2), compile_s=[(1.25, False), (0.1, True)]),
        measured(case("data_parallel", 2, workload="wide"), around(0.11, 0.3)),
        environment={"XLA_FLAGS": "--xla_dump_to=<a|b>"},
    )


# Numbers


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (82.4e-6, 0.05, "82 us ±5%"),
        (82.4e-6, 0.0049, "82.4 us ±0.5%"),
        (82.4e-6, 0.00001, "82.40 us ±<0.01%"),
        (82.4e-6, 0.0, "82.40 us ±0%"),
        (82.4e-6, 0.4, "80 us ±40%"),
        (144.9e-6, 0.2, "140 us ±20%"),
        (144.9e-6, 0.011, "145 us ±1%"),
        (87.3e-6, 0.11, "87 us ±11%"),
        (82.4e-6, 0.99, "80 us ±99%"),
        (82.4e-6, 3.0, "80 us ±>100%"),
        (0.55, None, "550 ms"),
        (9.96e-3, 0.05, "10 ms ±5%"),
        (999.7e-6, 0.05, "1.0 ms ±5%"),
        (61.2, 0.02, "61 s ±2%"),
        (3e-10, None, "0.30 ns"),
    ],
)
def test_a_time_has_the_digits_that_its_interval_supports(value: float, spread: float | None, text: str) -> None:
    assert quantity.seconds(estimate(value, spread)) == text


def test_rates_ratios_and_sizes_have_their_units() -> None:
    assert quantity.rate(estimate(5.34e6, 0.02)) == "5.3 M/s ±2%"
    assert quantity.rate(estimate(12.3, 0.02)) == "12.3 /s ±2%"
    assert quantity.factor(estimate(1.414, 0.03)) == "1.41x ±3%"
    assert quantity.between(estimate(1.414, 0.03)) == "1.41x (1.37 to 1.46)"
    assert quantity.between(estimate(1.414)) == "1.41x (one restart, so no interval)"
    assert quantity.size(25_276_514_304) == "25 GB"
    assert quantity.size(999_900) == "1.0 MB"
    assert quantity.size(0) == "0 B"
    assert quantity.plain_seconds(0.0321) == "32 ms"


def test_what_was_not_measured_is_an_empty_cell() -> None:
    nothing = [quantity.seconds(None), quantity.rate(None), quantity.factor(None), quantity.size(None)]
    assert [*nothing, quantity.plain_seconds(None)] == [""] * 5


@given(st.floats(1e-8, 1e3), st.floats(1e-5, 0.9))
def test_no_digit_is_finer_than_a_tenth_of_the_interval(value: float, spread: float) -> None:
    text = quantity.seconds(estimate(value, spread))
    number, unit = text.split()[:2]
    scale = {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[unit]
    whole, _, decimals = number.partition(".")
    assert "e" not in number
    # Whole numbers may end in zeros that only hold the place.
    places = len(decimals) or len(whole.rstrip("0")) - len(whole)
    last_digit = scale * 10.0**-places
    assert last_digit >= spread * value / 10 * (1 - 1e-9)
    shown = float(number) * scale
    assert abs(shown - value) <= max(spread, 5e-4) * value
    resolution = 10.0 ** (math.floor(math.log10(value)) - quantity.digits(estimate(value, spread)) + 1)
    assert abs(shown - value) <= resolution * 0.5000001


@given(st.floats(1e-9, 1e9), st.integers(1, 4))
def test_a_rounded_number_has_no_more_digits_than_asked_for(value: float, significant: int) -> None:
    digits = quantity.rounded(value, significant).replace(".", "").lstrip("0")
    assert len(digits.rstrip("0")) <= significant
    assert "." not in quantity.rounded(value, significant) or len(digits) == significant


# The table


def rows(of: Record) -> list[dict[str, str]]:
    """Every row, by heading."""
    tables = table.build(of).tables
    return [dict(zip((c.heading for c in t.columns), row, strict=True)) for t in tables for row in t.rows]


def test_a_row_shows_what_was_measured_of_its_case() -> None:
    single, ensemble = rows(everything())[:2]
    assert single == {
        "mode": "single",
        "devices": "1",
        "members": "1",
        "batch": "32",
        "latency": "80 us ±3%",
        "throughput": "60 us ±3%",
        "fused": "6.0 us ±3%",
        "dispatch": "40 us ±3%",
        "samples/s": "5.3 M/s ±3%",  # 32 / 6e-6
        "vs single": "1.000x ±0%",
        "fused vs single": "1.000x ±0%",
        "compile": "500 ms",
        "memory": "26 kB",
        "remarks": "",
    }
    assert ensemble["vs single"] == "6.400x ±<0.01%"  # 8 members in 100/80 of the time, the same in every restart
    assert ensemble["fused vs single"] == "2.0x ±29%"  # 8 x 6/24; the restarts' ratios differ by 12/1%


def test_each_workload_has_a_table_of_its_own() -> None:
    assert [(t.title, len(t.rows)) for t in table.build(everything()).tables] == [("tutorial", 7), ("wide", 2)]


def test_every_oversubscribed_row_is_marked_and_no_other() -> None:
    of = everything()
    marked = [(row["mode"], row["devices"]) for row in rows(of) if "oversubscribed" in row["remarks"]]
    assert marked == [("data_parallel", "8"), ("ensemble_data", "4x2")]
    eight_cores = msgspec.structs.replace(of, host=dataclasses.replace(of.host, usable_cores=tuple(range(8))))
    assert not [row for row in rows(eight_cores) if "oversubscribed" in row.get("remarks", "")]


def test_a_row_that_broke_or_waits_has_no_number() -> None:
    numbers = [column.heading for column in table.COLUMNS[4:-1]]
    broken, waiting = rows(everything())[5:7]
    assert broken["remarks"] == "BROKEN, oversubscribed"
    assert waiting["remarks"] == "not measured"
    assert [broken[heading] + waiting[heading] for heading in numbers] == [""] * len(numbers)


def test_a_row_says_its_dtype_and_whether_its_sums_are_bit_equal() -> None:
    of = dataclasses.replace(case("data_parallel", 2), dtype="float64", deterministic=True)
    (row,) = rows(record(measured(of, around(1e-3))))
    assert (row["mode"], row["remarks"]) == ("data_parallel deterministic", "float64")


def test_a_row_says_the_sizes_and_products_of_its_network() -> None:
    of = dataclasses.replace(case("data_parallel", 8), hidden_layers=3, hidden_dim=2048, compute_dtype="bfloat16")
    (row,) = rows(record(measured(of, around(1e-3))))
    assert row["remarks"] == "h3x2048, bfloat16, oversubscribed"


LAYERS = ((2, 10), (10,), (10, 2), (2,))  # the tutorial's: 52 numbers, all of them shared equally by 2 devices


def test_the_needs_of_a_case_are_its_devices_cores_and_state() -> None:
    mesh = case("ensemble_data", (4, 2), members=6)  # padded to 8 members
    wide = dataclasses.replace(case("single"), dtype="float64")
    found = needs.build([(mesh, LAYERS), (wide, LAYERS), (case("single", workload="a:b"), None)], 2)
    divided = needs.build([(case("fsdp", 2), LAYERS), (case("zero1", 2), LAYERS)], 2)
    assert [row[3] for row in divided.rows] == ["620 B", "830 B"]  # 4 x 52 x 3, and x (2 + 2 x 1)
    (whole,) = needs.build([(case("fsdp", 4), LAYERS)], 2).rows
    assert whole[3] == "2.5 kB"  # 4 devices share no axis of 2 or 10: 4 x 52 x 3 x 4
    assert found.rows == (
        ("tutorial/ensemble_data-4x2/m6/b32", "4x2", "2", "10 kB", "oversubscribed on this CPU"),  # 3 x 4 x 52 x 8
        ("tutorial/single-1/m1/b32/float64", "1", "1", "1.2 kB", ""),  # 3 x 8 x 52 x 1
        ("a:b/single-1/m1/b32", "1", "1", "", ""),
    )


# The sentences


def test_cases_that_took_turns_are_told_and_others_are_not() -> None:
    alive = record(measured(case("single"), around(1e-4)), measured(case("data_parallel", 2), around(1e-4)))
    assert "took turns" not in said(alive)
    single, two = alive.cases
    later = tuple(msgspec.structs.replace(sample, round=sample.round + 2) for sample in two.samples)
    turns = msgspec.structs.replace(alive, cases=(single, msgspec.structs.replace(two, samples=later)))
    assert "tutorial: not all of its cases could be alive at once, so they took turns" in said(turns)
    assert "took turns" not in said(msgspec.structs.replace(turns, alternation="restarts"))


def test_the_fastest_case_is_named_with_how_it_was_run() -> None:
    lines = said(everything())
    assert "tutorial: fastest here is ensemble with 8 members, many steps in one program: 11 M/s ±33% samples." in lines
    assert (
        "wide: fastest here is data_parallel on 2 devices at batch 32, waiting for each step: 291 /s ±0.7% samples."
        in lines
    )


def test_cases_whose_intervals_overlap_share_the_first_place() -> None:
    cases = [measured(case("single"), around(1e-3)), measured(case("data_parallel", 2), around(1.01e-3))]
    cases += [measured(case("data_parallel", 4), around(1.02e-3)), measured(case("data_parallel", 8), around(1.01e-3))]
    lines = said(record(*cases, cores=8))
    assert (
        "tutorial: fastest here are single; data_parallel on 2 devices; data_parallel on 4 devices and 1 more: their "
        "intervals overlap, so none of them is the winner (32.0 k/s ±3% samples)."
    ) in lines


def test_one_restart_makes_no_winner() -> None:
    lines = said(record(measured(case("single"), [[1e-3]]), measured(case("data_parallel", 2), [[2e-3]])))
    assert "tutorial: fastest here seems single: 32 k/s samples (one restart, so uncertain)." in lines


def test_one_case_alone_is_not_the_fastest() -> None:
    assert "fastest" not in said(record(measured(case("single"), around(1e-3))))


def test_a_batch_over_devices_that_is_faster_says_how_efficient_it_is() -> None:
    single, two = measured(case("single"), [[2.0]] * 3), measured(case("data_parallel", 2), [[1.25]] * 3)
    # 2 / 1.25 = 1.6 on 2 devices: 80%.
    assert (
        "tutorial: the batch over 2 devices makes a waited step 1.600x (1.600 to 1.600) as fast as single: "
        "80% parallel efficiency."
    ) in said(record(single, two))


def test_a_batch_over_devices_that_is_slower_says_so() -> None:
    single, two = measured(case("single"), around(1e-3)), measured(case("data_parallel", 2), [[2e-3] * 2] * 3)
    # Twice as long; the restarts of single lie 1% apart, so half of the interval is 4.3 / sqrt(3) of it: 2.5%.
    assert (
        "tutorial: the batch over 2 devices makes a waited step 2.00x (1.95 to 2.05) as long as single's: "
        "it costs more to reduce than it saves."
    ) in said(record(single, two))


@pytest.mark.parametrize(
    ("times", "told"),
    [
        (around(1e-3, 5), "as fast as single: no clear difference."),
        ([[0.9e-3]], "(one restart, so no interval) as fast as single."),
    ],
)
def test_an_interval_around_1_is_no_clear_difference_and_none_at_all_says_so(times: Times, told: str) -> None:
    single = measured(case("single"), [[1e-3] * 2] * len(times))
    lines = said(record(single, measured(case("data_parallel", 2), times)))
    assert told in lines
    assert "efficiency" not in lines


def test_of_fused_and_waited_steps_the_fused_ones_are_compared() -> None:
    single = measured(case("single"), [[1.0]] * 3, fused=[[1.0]] * 3)
    two = measured(case("data_parallel", 2), [[1.0]] * 3, fused=[[0.5]] * 3)
    assert "makes a fused step 2.000x" in said(record(single, two))


def test_oversubscribed_cases_are_named_and_take_no_part_in_what_scales() -> None:
    cases = [measured(case("single"), around(1e-3))]
    cases += [measured(case("data_parallel", n), around(1e-4)) for n in (4, 8)]
    cases += [measured(case("ensemble_data", (2, 2), members=8), around(1e-4))]
    lines = said(record(*cases, cores=1))
    assert "Oversubscribed: 4 and 8 simulated devices share 1 core; those lines show correctness" in lines
    assert "the batch over" not in lines
    assert "of the ensembles" not in lines
    assert "ensemble_data with 8 members on 2x2 devices (oversubscribed)" in lines  # it is the fastest still
    assert "Oversubscribed" not in said(record(*cases, cores=8))


def test_the_best_ensemble_is_compared_with_single_run_for_each_member() -> None:
    cases = [measured(case("single"), [[1e-3]] * 3)]
    cases += [measured(case("ensemble", members=n), [[2e-3]] * 3) for n in (8, 64)]
    # 64 members in the time of 2 steps.
    assert (
        "tutorial: of the ensembles, ensemble with 64 members trains its members 32.00x (32.00 to 32.00) as fast "
        "as single would one after another."
    ) in said(record(*cases))


def test_bit_equal_sums_say_what_they_cost() -> None:
    plain = case("data_parallel", 2)
    both = [measured(plain, [[2.0]] * 3), measured(dataclasses.replace(plain, deterministic=True), [[3.0]] * 3)]
    assert ("bit-equal sums on 2 devices make a waited step 1.500x (1.500 to 1.500) as long as plain ones do.") in said(
        record(*both)
    )


def test_a_case_that_broke_says_why_and_is_not_counted_as_checked() -> None:
    lines = said(everything())
    assert "tutorial/ensemble_data-4x2/m8/b32 is broken: ended by SIGABRT; it last printed: F00 | a." in lines
    assert "7 of 9 cases compute what single does" in lines


def test_a_reference_workload_that_could_not_be_run_is_told_with_its_reason() -> None:
    of = measured(case("single"), around(1e-3))
    told = said(record(msgspec.structs.replace(of, unreferenced="it gives 139.2")))
    assert "The reference workload could not be run" in told
    assert "from a slower commit: it gives 139.2." in told
    assert "reference workload" not in said(record(of))


def test_a_case_whose_certificate_failed_is_not_counted_as_checked() -> None:
    failed = Certificate((Check("collectives", False, "none", "all-reduce"),), (0,))
    wrong = msgspec.structs.replace(measured(case("data_parallel", 2), [[1.0]]), certificate=failed)
    assert "1 of 2 cases compute" in said(record(measured(case("single"), [[1.0]]), wrong))
    assert "All 2 cases compute" in said(record(*[measured(case("single"), [[1.0]])] * 2))


def test_a_budget_that_ran_out_says_how_to_get_narrower_intervals() -> None:
    assert (
        "The budget of 150 s allowed 2 of 3 restarts for 2 cases; --budget gives more time and narrower intervals."
    ) in said(record(measured(case("single"), [[1.0]] * 2), measured(case("data_parallel", 2), [[1.0]] * 2)))
    assert "of 3 restarts for 1 case; --budget" in said(record(measured(case("single"), [[1.0]] * 2)))
    assert "budget" not in said(record(measured(case("single"), [[1.0]] * 3)))


def test_a_budget_that_was_overrun_says_what_it_took() -> None:
    late = msgspec.structs.replace(record(measured(case("single"), [[1.0]] * 3)), seconds=300.0)
    assert "It took 300 s, and the budget was 150 s" in said(late)


def test_without_single_it_is_said_that_nothing_is_compared_with_it() -> None:
    alone = record(measured(case("data_parallel", 2), [[1.0]] * 3))
    assert "tutorial: single wasn't measured with it, so nothing is compared with it." in said(alone)


def test_single_is_said_to_have_one_core_where_others_have_more() -> None:
    both = [measured(case("single"), [[1.0]] * 3), measured(case("data_parallel", 2), [[1.0]] * 3)]
    assert "so single has one of 2 here" in said(record(*both))
    assert "so single has one" not in said(record(*both, platform="gpu"))
    assert "so single has one" not in said(record(both[0]))


def test_only_the_checks_that_were_made_are_claimed() -> None:
    certificate = Certificate((Check("initial state", True, "off by 0", "1e-5"), Check("traces", True, "", "")), (0,))
    without = msgspec.structs.replace(measured(case("single"), [[1.0]]), certificate=certificate)
    assert (
        "The case computes what single does (initial state, traces): checked before anything was timed.\n"
        "tutorial: a factor in the gradient that the optimizer hides can't be seen without `gradients`."
    ) in said(record(without))


def test_a_run_that_was_ended_says_so() -> None:
    assert "The run was ended before its last round" in said(record(measured(case("single"), [[1.0]]), complete=False))


def test_the_environment_is_told_in_lines() -> None:
    assert table.build(everything()).environment == (
        "a cpu, 2 of 8 cores, 25 GB, Linux",
        "cpu: a device, several simulated on it; Python 3.11.7 jax 0.10.2; commit 0123456789ab (dirty)",
        "2026-11-25T08:00:00Z; 12 s, 3 restarts; load 0.25 before, 1.5 after",
        "XLA_FLAGS=--xla_dump_to=<a|b>",
    )
    assert "gpu: a device x8; " in table.build(record(platform="gpu")).environment[1]


# The renderings


def test_markdown_is_what_it_was() -> None:
    # Rendered from `everything`, read by a person, and kept; a wanted change is rendered, read and kept anew.
    assert markdown.render(table.build(everything())) == GOLDEN.read_text(encoding="utf-8")


def test_markdown_escapes_what_would_be_markup() -> None:
    evil = dataclasses.replace(case("single"), workload="a|b:<i>*c*`d`[e](f)\\")
    of = record(CaseResult(evil, "broken", "line one\n| line <b>two</b> |"), measured(evil, around(1e-3)))
    text = markdown.render(table.build(of))
    assert "## a\\|b:\\<i\\>\\*c\\*\\`d\\`\\[e\\](f)\\\\\n" in text
    assert "is broken: line one \\| line \\<b\\>two\\</b\\> \\|.\n" in text
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")]
    assert bars == [len(table.COLUMNS) + 1] * 4  # headings, rules, two rows


def shown(of: Record, width: int) -> str:
    """What a terminal of that width shows."""
    to = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard", highlight=False)
    terminal.show(table.build(of), to)
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


def headings(text: str) -> set[str]:
    """The columns whose headings stand in a text that isn't narrow enough to break them."""
    return {column.heading for column in table.COLUMNS if re.search(rf"(^ ?|  ){column.heading}(  |\s*$)", text, re.M)}


def test_a_wide_terminal_shows_every_column_and_a_narrow_one_leaves_out_the_most_expendable() -> None:
    every = {column.heading for column in table.COLUMNS}
    of = record(measured(case("single"), around(1e-3), throughput=around(1e-3), fused=around(1e-3)))
    found = {width: headings(ANSI.sub("", shown(of, width)).splitlines()[7]) for width in range(77, 200)}
    assert found[199] == every
    assert found[80] == {c.heading for c in table.COLUMNS if c.expendable == 0}
    for width in range(78, 200):
        assert found[width - 1] <= found[width]
        left_out = [c.expendable for c in table.COLUMNS if c.heading not in found[width]]
        kept = [c.expendable for c in table.COLUMNS if c.heading in found[width]]
        assert max(kept) < min(left_out, default=99)


def test_a_narrow_terminal_leaves_out_no_column_that_tells_rows_apart() -> None:
    def times(of: Case) -> CaseResult:
        kinds: dict[Kind, float] = {"latency": 1e-3, "fused": 9e-4, "compute": 8e-4}
        return taken_apart(of, kinds, COST, noise=0.01)

    ensemble = case("ensemble", members=8)
    several = record(*map(times, (case("single"), ensemble, dataclasses.replace(ensemble, batch=64))), parts=True)
    text = ANSI.sub("", shown(several, 80))
    tables = table.build(several).tables
    assert [each.title for each in tables] == ["tutorial", "tutorial: where the time goes"]
    assert len(re.findall(r"^ mode +devices +members +batch ", text, re.M)) == len(tables)
    alike = ANSI.sub("", shown(record(times(case("single")), parts=True), 80))
    assert "batch" not in "".join(re.findall(r"^ *mode .*", alike, re.M))


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_and_the_sentences_fit_the_terminal(width: int) -> None:
    lines = ANSI.sub("", shown(everything(), width)).splitlines()
    environment = table.build(everything()).environment  # whole, to be copied
    assert all(cell_len(line) <= width for line in lines if line not in environment)
    assert not [line for line in lines if "\u2026" in line]  # nothing is cut


def test_a_terminal_shows_broken_rows_in_red_and_oversubscribed_ones_dimmed() -> None:
    lines = shown(everything(), 250).splitlines()
    (broken,) = (line for line in lines if "BROKEN" in line)
    (dimmed,) = (line for line in lines if "data_parallel" in line and "oversubscribed" in line and "%" in line)
    assert "\x1b[31m" in broken
    assert "\x1b[2m" in dimmed


def test_a_pipe_gets_plain_text_in_whole_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    report = table.build(everything())
    terminal.show(report, terminal.console())
    text = capsys.readouterr().out
    assert "\x1b" not in text
    for line in (report.title, *report.environment, *report.sentences, *report.legend):
        assert f"{line}\n" in text
    assert headings(text) == {column.heading for column in table.COLUMNS}


def test_a_pipe_gets_every_column_unless_it_is_told_how_wide_to_write(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    wide = Table("wide", tuple(Column("heading" * 10, n) for n in range(30)), (("<>",) * 30,))
    of = dataclasses.replace(table.build(everything()), tables=(wide,))
    terminal.show(of, terminal.console())
    text = capsys.readouterr().out
    assert [line.split() for line in text.splitlines() if "<>" in line] == [["<>"] * 30]
    assert "left out" not in text
    monkeypatch.setenv("COLUMNS", "820")
    terminal.show(of, terminal.console())
    text = capsys.readouterr().out
    assert [line.split() for line in text.splitlines() if "<>" in line] == [["<>"] * 11]
    assert "19 columns left out; a larger COLUMNS has room, and so has Markdown.\n" in text


@pytest.mark.parametrize(("size", "is_one"), [((0, 0), False), ((24, 80), True)])
def test_a_terminal_without_a_size_such_as_that_of_mpirun_is_written_to_as_a_pipe_is(
    size: tuple[int, int], is_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    master, slave = os.openpty()
    with open(master, "rb"), open(slave, "w") as stdout, contextlib.redirect_stdout(stdout):
        termios.tcsetwinsize(slave, size)
        to = terminal.console()
        assert (to.is_terminal, to.width) == (is_one, 80 if is_one else terminal.PIPED_WIDTH)


def test_what_a_user_named_is_not_taken_for_markup_of_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    of = dataclasses.replace(case("single"), workload="m:[red]x[/red]")
    report = table.build(record(CaseResult(of, "broken", "[bold]why[/nothing]")))
    terminal.show(report, terminal.console())
    terminal.show_table(needs.build([(of, None)], 1), terminal.console())
    text = capsys.readouterr().out
    assert "m:[red]x[/red]/single-1/m1/b32 is broken: [bold]why[/nothing]." in text
    assert text.count("m:[red]x[/red]") == 3  # the table's title, the sentence, what the case needs


def test_a_record_of_which_nothing_was_measured_yet_is_still_a_report() -> None:
    text = markdown.render(table.build(record(CaseResult(case("single")), complete=False)))
    assert "not measured" in text
    assert "The run was ended" in text
