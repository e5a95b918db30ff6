"""What is said of records that are held against the first of them, and what `bench compare` prints and exits with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import msgspec
import pytest
from histories import bearing
from records import COST, case, computing, elsewhere, measured, on_gpu, over, record
from test_report import around

from bench.cli import main
from bench.contrast import compared
from bench.measured import Block
from bench.record import CaseResult, Record, Sample, write
from bench.report import markdown
from bench.report.compared import build
from bench.report.document import Report, Table
from bench.report.quantity import Number


def at(step_s: float, *, mode: str = "single", devices: int = 1, members: int = 1) -> CaseResult:
    """A case whose steps are waited for, three restarts around that."""
    return computing(measured(case(mode, devices, members=members), around(step_s)), 0.5, 0.4)


def cpu(*more: CaseResult) -> Record:
    return record(at(8e-5), at(3e-4, mode="ensemble", members=8), *more)


def gpu(*more: CaseResult) -> Record:
    return on_gpu(record(at(2e-4), at(3e-5, mode="ensemble", members=8), *more))


def report(*records: tuple[str, Record]) -> Report:
    return build(compared(records))


def said(*records: tuple[str, Record]) -> str:
    """The sentences, a line each."""
    return "\n".join(report(*records).sentences)


def table(of: Report, title: str) -> Table:
    (found,) = (each for each in of.tables if each.title == title)
    return found


def rows(of: Table) -> list[dict[str, str]]:
    return [dict(zip([column.heading for column in of.columns], row, strict=True)) for row in of.rows]


# Tables


def test_a_row_is_a_case_and_each_record_has_its_columns() -> None:
    single, ensemble = rows(table(report(("cpu", cpu()), ("h100", gpu())), "tutorial"))
    assert [single[name] for name in ("mode", "devices", "members", "batch")] == ["single", "1", "1", "32"]
    assert (single["cpu latency"], single["h100 latency"]) == ("80 us ±3%", "200 us ±3%")
    assert (single["cpu fused"], single["h100 fused vs cpu"]) == ("", "")
    # t with 4 degrees of freedom is 2.776, the logs of each scatter by 0.00995: e**(2.776 0.00995 sqrt(2 / 3)) = 1.023.
    assert (single["h100 vs cpu"], ensemble["h100 vs cpu"]) == ("0.400x ±2%", "10x ±2%")
    assert single["h100 samples/s vs cpu"] == single["h100 vs cpu"]
    assert isinstance(ratio := ensemble["h100 vs cpu"], Number)
    assert ratio.value == pytest.approx(10)
    assert (single["cpu memory"], single["cpu compile"]) == ("26 kB", "500 ms")


def test_rows_say_over_how_many_processes_and_hosts_where_runs_were_over_several() -> None:
    alone, shared = at(3e-4, mode="data_parallel", devices=2), at(6e-4, mode="data_parallel", devices=2)
    shared = msgspec.structs.replace(shared, case=dataclasses.replace(shared.case, processes=2))
    here, apart = (over(cpu(alone, shared), *machines) for machines in ((0, 0), (0, 1)))
    of_one = rows(table(report(("a", here), ("b", here)), "tutorial"))
    assert [(row["devices"], row["processes"]) for row in of_one] == [("1", "1"), ("1", "1"), ("2", "1"), ("2", "2")]
    assert "hosts" not in of_one[0]
    assert [row["hosts"] for row in rows(table(report(("a", apart), ("b", apart)), "tutorial"))] == ["1", "1", "1", "2"]
    assert "processes" not in rows(table(report(("a", cpu()), ("b", cpu())), "tutorial"))[0]


def test_every_record_that_compares_has_columns_and_others_have_none() -> None:
    found = report(("cpu", cpu()), ("x64", elsewhere(cpu(), pinned=False)), ("h100", gpu()), ("h200", gpu()))
    headings = [column.heading for column in table(found, "tutorial").columns]
    assert len(headings) == len(set(headings))
    assert [heading for heading in headings if heading.endswith("vs cpu")] == [
        *("h100 vs cpu", "h100 fused vs cpu", "h100 samples/s vs cpu"),
        *("h200 vs cpu", "h200 fused vs cpu", "h200 samples/s vs cpu"),
    ]
    assert not [heading for heading in headings if heading.startswith("x64")]


def test_a_case_that_only_some_of_the_others_have_is_a_row_with_empty_cells() -> None:
    found = report(("cpu", cpu()), ("h100", gpu()), ("b", on_gpu(record(at(1e-5)))))
    _, ensemble = rows(table(found, "tutorial"))
    assert (ensemble["h100 latency"], ensemble["b latency"], ensemble["b vs cpu"]) == ("30.0 us ±3%", "", "")


def test_what_differs_is_a_table_of_what_is_not_the_same_in_all() -> None:
    other = elsewhere(cpu(), host={"commit": None, "environment": {"XLA_FLAGS": "--xla"}}, complete=False)
    other = elsewhere(other, backend={"packages": {"jax": "0.11.0"}})
    differing = table(report(("a", cpu()), ("b", other)), "What differs between them")
    assert differing.rows == (
        ("commit", "0123456789ab (dirty)", ""),
        ("jax", "0.10.2", "0.11.0"),
        ("ran to its end", "yes", "no"),
        ("XLA_FLAGS", "", "--xla"),
    )
    assert not [each for each in report(("a", cpu()), ("b", cpu())).tables if each.title.startswith("What differs")]


def test_counts_that_changed_between_versions_are_a_table_however_small_the_change() -> None:
    changed = dataclasses.replace(COST, flops=1001.0, argument_bytes=3001)
    found = report(("a", cpu()), ("b", record(computing(at(8e-5), 0.5, 0.4, cost=changed))))
    assert table(found, "Counts that changed from a to b").rows == (
        ("tutorial/single-1/m1/b32", "FLOPs of a step", "1,000", "1,001"),
        ("tutorial/single-1/m1/b32", "peak memory, bytes", "26,000", "26,001"),
    )
    assert "Exact counts" not in "\n".join(found.sentences)
    assert "Exact counts (FLOPs, bytes, peak memory, collectives) are the same in a and b." in said(
        ("a", cpu()), ("b", cpu())
    )
    assert "Exact counts" not in said(("a", cpu()), ("b", gpu()))


def test_flops_of_products_that_an_older_record_did_not_count_are_no_change() -> None:
    counted = record(computing(at(8e-5), 0.5, 0.4, cost=dataclasses.replace(COST, product_flops=640.0)))
    for first, second in (("a", "b"), ("b", "a")):
        records = {"a": cpu(), "b": counted}
        found = report((first, records[first]), (second, records[second]))
        assert not [each for each in found.tables if each.title.startswith("Counts")]


def test_remarks_say_what_is_oversubscribed_where_and_what_is_not_comparable() -> None:
    four = at(1e-3, mode="data_parallel", devices=4)
    wrong = computing(measured(case("single"), around(1e-5)), 0.5, 0.1)
    found = rows(table(report(("a", record(four, at(1e-5))), ("b", on_gpu(record(four, wrong)))), "tutorial"))
    assert [row["remarks"] for row in found] == ["oversubscribed in a", "not comparable with b"]
    assert (found[1]["b latency"], found[1]["b vs a"]) == ("10.0 us ±3%", "")
    (both,) = rows(table(report(("a", record(four)), ("b", record(four))), "tutorial"))
    assert both["remarks"] == "oversubscribed"


# Sentences


def test_hardware_is_called_faster_only_where_the_interval_says_so() -> None:
    close = at(1.01e-4, mode="data_parallel")
    lines = said(("cpu", cpu(at(1e-4, mode="data_parallel"))), ("h100", gpu(close)))
    assert "h100 and cpu compare as hardware: gpu a gpu, against a cpu with 2 usable cores." in lines
    assert (
        "tutorial, steps that are waited for: h100 is faster than cpu in 1 of 3 cases: ensemble with 8 members 10.0x "
        "(9.78 to 10.2) as fast; h100 is slower than cpu in 1 of 3 cases: single 2.50x (2.44 to 2.56) as long; "
        "h100 and cpu show no clear difference in 1 of 3 cases: data_parallel 0.990x (0.968 to 1.01) as fast."
    ) in lines
    assert "fused" not in lines


def test_of_versions_it_is_said_what_took_less_time_and_that_ab_would_show_whether_it_was_the_version() -> None:
    lines = said(("a", cpu()), ("b", elsewhere(record(at(4e-5)), host={"commit": "f" * 40})))
    assert "b and a compare as versions on machines of one kind: a cpu with 2 usable cores." in lines
    assert "b took less time than a in 1 of 1 case: single 2.00x (1.96 to 2.05) as fast." in lines
    assert "faster" not in lines
    assert "`python -m bench ab rev=0123456789ab rev=ffffffffffff` asks both in turn" in lines
    assert "What a and b had besides their commits (dirty) isn't asked so." in lines
    clean = elsewhere(record(at(4e-5)), host={"commit": "f" * 40, "dirty": False})
    assert "What a had besides its commit (dirty) isn't asked so." in said(("a", cpu()), ("b", clean))
    assert "(dirty) isn't" not in said(("a", elsewhere(cpu(), host={"dirty": False})), ("b", clean))
    newer = elsewhere(cpu(), backend={"packages": {"jax": "0.11.0"}})
    assert "`python -m bench ab A B` asks both in turn" in said(("a", cpu()), ("b", newer))


def test_of_the_same_software_it_is_said_that_a_ratio_is_the_moments() -> None:
    clean = elsewhere(cpu(), host={"dirty": False})
    assert "Nothing of the software of a and b differs" in said(("a", clean), ("b", clean))
    assert "Nothing of the software" not in said(("a", cpu()), ("b", cpu()))  # what isn't committed isn't known


def test_stored_records_are_said_not_to_be_paired() -> None:
    for other in (cpu(), gpu()):
        assert "Stored records are not paired" in said(("a", cpu()), ("b", other))
        assert "a difference in 1 of 20 cases, by chance" in said(("a", cpu()), ("b", other))
    assert "paired" not in said(("a", cpu()), ("b", elsewhere(cpu(), pinned=False)))


def test_what_is_not_comparable_is_named_with_the_key_and_both_values() -> None:
    more = elsewhere(cpu(), host={"usable_cores": (0, 1, 2)})
    assert "b is not comparable with a: usable cores is 2 in a and 3 in b." in said(("a", cpu()), ("b", more))
    wrong = computing(at(1e-5), 0.5, 0.1)
    assert (
        "tutorial/single-1/m1/b32 is not comparable, since it doesn't compute the same in both: loss of step 2 is 0.4 "
        "in a and 0.1 in b."
    ) in said(("a", cpu()), ("b", on_gpu(record(wrong))))
    newer = elsewhere(record(wrong), host={"commit": "f" * 40})
    advised = "`python -m bench ab rev=0123456789ab rev=ffffffffffff --allow-different-results` asks both in turn"
    assert advised in said(("a", cpu()), ("b", newer))


def test_cases_that_are_missing_broken_or_were_not_reached_are_listed() -> None:
    broken = CaseResult(case("ensemble", members=8), "broken", "it hung.")
    other = on_gpu(record(at(1e-5), broken, at(1e-3, mode="fsdp", devices=2), CaseResult(case("zero1"))))
    lines = said(("a", cpu(at(1e-3, mode="data_parallel"), at(1e-3, mode="zero1"))), ("b", other))
    assert "tutorial/ensemble-1/m8/b32 is not compared: it is broken (it hung) in b." in lines
    assert "tutorial/zero1-1/m1/b32 is not compared: it wasn't measured in b." in lines
    assert "1 case is in a alone, and so without a ratio to b: tutorial/data_parallel-1/m1/b32." in lines
    assert "1 case is in b alone, and so without a ratio to a: tutorial/fsdp-2/m1/b32." in lines
    assert "a and b have no case in common." in said(("a", cpu()), ("b", record(at(1.0, mode="fsdp", devices=2))))


def test_of_many_cases_of_one_record_three_are_named_in_the_last_sentence() -> None:
    more = [at(1e-3, mode="ensemble", members=members) for members in (2, 3, 4, 5, 6)]
    assert report(("a", cpu(*more)), ("b", gpu())).sentences[-1] == (
        "5 cases are in a alone, and so without a ratio to b: tutorial/ensemble-1/m2/b32, tutorial/ensemble-1/m3/b32, "
        "tutorial/ensemble-1/m4/b32, 2 more."
    )


def test_which_hardware_is_faster_for_a_training_is_said_whichever_way_each_has_of_it() -> None:
    # 8 members in 100 us on the one, 2 devices in 10 us on the other: 80 kHz of steps of one member for 100.
    two = at(1e-5, mode="data_parallel", devices=2)
    a, b = record(at(8e-5), at(1e-4, mode="ensemble", members=8)), on_gpu(record(at(2e-4), two))
    assert (
        "tutorial, each at its best: b (data_parallel on 2 devices, each step waited for) does 1.25x (1.22 to 1.28) "
        "the samples a second of a (ensemble with 8 members, each step waited for)."
    ) in said(("a", a), ("b", b))
    assert (
        "tutorial, one member, each at its best: b (data_parallel on 2 devices, each step waited for) does 8.00x "
        "(7.82 to 8.18) the samples a second of a (single, each step waited for)."
    ) in said(("a", a), ("b", b))
    assert "tutorial, each at its best: a (ensemble with 8 members, each step waited for) does 16.0x" in said(
        ("a", a), ("b", on_gpu(record(at(2e-4))))
    )
    assert "single, each step waited for): no clear difference." in said(
        ("a", record(at(1e-4))), ("b", on_gpu(record(at(1.01e-4))))
    )
    assert "at its best" not in said(("a", a), ("b", a))  # of versions


def test_the_ratios_stand_before_the_times_and_what_compilers_count_stands_last() -> None:
    headings = [column.heading for column in table(report(("a", cpu()), ("b", gpu())), "tutorial").columns]
    assert headings == [
        *("mode", "devices", "members", "batch", "b vs a", "b fused vs a", "b samples/s vs a"),
        *("a latency", "a fused", "b latency", "b fused", "a memory", "a compile", "b memory", "b compile", "remarks"),
    ]


def test_oversubscribed_cases_are_no_ground_to_call_hardware_faster() -> None:
    four = at(1e-3, mode="data_parallel", devices=4)
    lines = said(("a", record(four)), ("b", on_gpu(record(at(1e-5, mode="data_parallel", devices=4)))))
    assert "b: 1 case with more simulated devices than cores on either side: shown, but no ground" in lines
    assert "faster than" not in lines


def test_one_restart_claims_nothing() -> None:
    one = computing(measured(case("single"), [[1e-9]]), 0.5, 0.4)
    lines = said(("a", cpu()), ("b", on_gpu(record(one))))
    assert "tutorial, steps that are waited for: 1 of 1 case had one restart in b or a: nothing is claimed." in lines


def test_what_else_is_in_a_ratio_is_said() -> None:
    lines = said(("a", cpu()), ("b", elsewhere(gpu(), complete=False)))
    assert "a: a device is a core, so a case on one device had 1 of 2 cores." in lines
    assert "Products are rounded to float32 in a and to tensorfloat32 in b" in lines
    assert "b: the run was ended before its last round" in lines
    mac = elsewhere(cpu(), host={"cpu_model": "a mac", "usable_cores": (0, 1, 2)}, pinned=False)
    assert "b: workers couldn't be kept on cores there, so a case on one device had all 3 cores." in said(
        ("a", gpu()), ("b", mac)
    )
    unlike = elsewhere(gpu(), host={"cpu_model": "a third cpu"})
    assert "(another cpu in a, a third cpu in b)" in said(("a", gpu()), ("b", unlike))
    unknown = measured(case("single"), around(1e-3))
    assert "isn't known by their losses" in said(("a", cpu()), ("b", record(unknown)))
    for excess in ("Products", "ended", "isn't known", "The CPUs"):
        assert excess not in said(("a", cpu()), ("b", cpu()))


def test_of_versions_the_reference_workload_says_what_is_the_machines() -> None:
    of = at(1e-3)
    more = tuple(Sample(i, 0, "reference", Block(10, s)) for i, s in enumerate((1e-3, 1.01e-3, 0.99e-3)))
    with_reference = record(msgspec.structs.replace(of, samples=(*of.samples, *more)))
    assert "The reference workload, which no commit changes, was 1.00x (0.978 to 1.02) as fast in b as in a" in said(
        ("a", with_reference), ("b", with_reference)
    )
    assert "reference" not in said(("a", with_reference), ("b", on_gpu(with_reference)))


def test_of_several_workloads_the_reference_is_told_beside_each() -> None:
    both = record(
        *(
            bearing(computing(measured(case("single", workload=name), around(1e-3)), 0.5), [[1e-4]] * 3)
            for name in ("tutorial", "wide")
        )
    )
    told = said(("a", both), ("b", both))
    for name in ("tutorial", "wide"):
        assert f"as fast in b as in a beside the cases of {name}: so much" in told


def test_names_of_files_and_of_users_are_escaped_in_markdown() -> None:
    evil = dataclasses.replace(case("single"), workload="m:<i>")
    of = record(computing(measured(evil, around(1e-3)), 0.5))
    text = markdown.render(report(("a|b", of), ("<b>", on_gpu(of))))
    assert "# \\<b\\> against a\\|b\n" in text
    assert "| a\\|b latency |" in text
    assert "## m:\\<i\\>\n" in text
    assert "<b>" not in text


# The command


def files(folder: Path, **records: Record) -> list[str]:
    for name, each in records.items():
        write(each, folder / f"{name}.json")
    return [str(folder / f"{name}.json") for name in records]


def test_compare_prints_the_table_and_what_it_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *files(tmp_path, cpu=cpu(), h100=gpu())]) == 0
    printed, complaints = capsys.readouterr()
    assert complaints == ""
    assert "h100 against cpu" in printed
    assert "10x ±2%" in printed
    assert "h100 is faster than cpu in 1 of 2 cases" in printed


def test_compare_prints_markdown_and_json_as_report_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = files(tmp_path, cpu=cpu(), h100=gpu())
    assert main(["compare", *paths, "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("# h100 against cpu\n")
    assert main(["compare", *paths, "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["reports"]
    assert found["tables"][0]["rows"][1]["h100 vs cpu"]["value"] == pytest.approx(10)


def test_compare_writes_a_page_with_a_chart_of_each_workload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = files(tmp_path, cpu=cpu(), h100=gpu())
    assert main(["compare", *paths, "--format", "html", "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<figure") == 1
    assert "how many times as fast as cpu" in page
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}: 1 report\n"
    assert main(["compare", *paths, "-o", paths[1]]) == 2
    assert "would be overwritten" in capsys.readouterr().err


def test_what_could_not_be_compared_exits_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = files(
        tmp_path,
        a=cpu(),
        unpinned=elsewhere(cpu(), pinned=False),
        odd=on_gpu(record(computing(at(1e-5), 0.5, 0.1))),
        apart=record(at(1.0, mode="fsdp", devices=2)),
    )
    for other in paths[1:]:
        assert main(["compare", paths[0], other]) == 3
    assert main(["compare", *paths]) == 3
    assert "unpinned is not comparable with a" in capsys.readouterr().out


def test_an_unusable_record_is_refused_and_the_others_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = files(tmp_path, a=cpu(), b=gpu())
    assert main(["compare", a, str(tmp_path / "none.json"), b]) == 2
    printed, complaint = capsys.readouterr()
    assert "b against a" in printed
    assert complaint.startswith(f"error: {tmp_path / 'none.json'}: ")
    assert main(["compare", a, str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr().out == ""


def test_a_run_is_not_compared_with_itself_under_whichever_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, copy, b = files(tmp_path, a=cpu(), copy=cpu(), b=gpu())
    assert main(["compare", a, a]) == 2
    assert capsys.readouterr() == (
        "",
        f"error: {a} was named before, and would compare with itself; name another run.\n",
    )
    assert main(["compare", a, copy, b]) == 2
    printed, complaint = capsys.readouterr()
    assert printed.startswith("b against a\n")
    assert complaint.startswith(f"error: {copy} is the run that {a} has, and would compare with itself;")


@pytest.mark.parametrize("given", [0, 1])
def test_fewer_than_two_records_are_refused(tmp_path: Path, given: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *files(tmp_path, a=cpu())[:given]]) == 2
    assert f"error: two records or more were expected, got {given};" in capsys.readouterr().err


def test_the_file_of_another_command_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (a,) = files(tmp_path, a=cpu())
    (tmp_path / "ab.json").write_text('{"type": "comparison", "schema": 1}')
    assert main(["compare", a, str(tmp_path / "ab.json")]) == 2
    assert (
        "ab.json is a record of `ab` or `gate`, and a record of `python -m bench run` was expected."
        in capsys.readouterr().err
    )
