"""What reports say of runs over several processes: who and where they were, and of which cases."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from records import case, elsewhere, in_each, measured, over, record

from bench.contrast import compared
from bench.digest import read as digest
from bench.record import CaseResult, Record, read, write
from bench.report import caveats, markdown, processes, surroundings, table, terminal
from bench.report import compared as compared_report
from bench.report.charts import growth
from bench.report.charts.scaling import efficiencies
from bench.report.document import Chart
from bench.summary import by_round
from toynet.errors import UsageError

TIMES = ((1e-3, 1.1e-3), (1.05e-3, 1e-3))
BOTH = dataclasses.replace(case("data_parallel", 2), processes=2)


def run(*machines: int, cores: int = 2, parts: bool = False) -> Record:
    results = measured(case("single"), TIMES), measured(case("data_parallel", 2), TIMES), measured(BOTH, TIMES)
    return over(record(*results, cores=cores, parts=parts), *machines)


def headings(of: Record) -> list[str]:
    return [column.heading for column in table.build(of).tables[0].columns]


def test_processes_and_hosts_have_columns_only_where_there_are_several() -> None:
    assert "processes" not in headings(record(measured(case("single"), TIMES)))
    assert headings(run(0, 0))[1:4] == ["devices", "processes", "members"]
    assert headings(run(0, 1))[1:5] == ["devices", "processes", "hosts", "members"]
    assert [row[2:4] for row in table.build(run(0, 1)).tables[0].rows] == [("1", "1"), ("1", "1"), ("2", "2")]


def test_efficiency_over_hosts_stands_beside_the_whole_and_processes_of_one_machine_are_called_so() -> None:
    assert "| efficiency | within a host | over hosts | of cores |" in markdown.render(
        table.build(run(0, 1, parts=True))
    )
    here = markdown.render(table.build(run(0, 0, parts=True)))
    assert "| efficiency | within a process | over processes | of cores |" in here
    assert "They are on one machine here, so what is between them is no network." in here


def test_the_surroundings_name_each_host_and_what_differs() -> None:
    found = run(0, 0, 1)
    last = found.processes[2]
    host = dataclasses.replace(last.host, usable_cores=(0,), environment={"XLA_FLAGS": "--x"})
    last = msgspec.structs.replace(last, host=host)
    assert processes.lines(msgspec.structs.replace(found, processes=(*found.processes[:2], last))) == [
        "3 processes on 2 hosts",
        "node0: ranks 0, 1; devices simulated; 2 of 8 cores shared, 25 GB",
        "node1: rank 2; devices simulated; 1 of 8 cores, 25 GB",
        "usable cores differs: 2 on ranks 0, 1, 1 on rank 2",
        "XLA_FLAGS differs: none on ranks 0, 1, --x on rank 2",
    ]


def test_what_shares_cores_is_said_with_its_processes() -> None:
    said = "\n".join(table.build(run(0, 0, cores=1)).sentences)
    assert (
        "Oversubscribed: 2 simulated devices in one process share 1 core; 2 simulated devices in 2 processes on one "
        "host share 1 core; those" in said
    )


def test_cores_of_another_host_do_not_help_where_one_has_too_few() -> None:
    found = run(0, 1, cores=1)
    first = found.processes[0]
    more = msgspec.structs.replace(first, host=dataclasses.replace(first.host, usable_cores=(0, 1, 2, 3)))
    of = measured(dataclasses.replace(case("data_parallel", 4), processes=2), TIMES)
    found = msgspec.structs.replace(found, processes=(more, found.processes[1]), cases=(*found.cases, of))
    said = "\n".join(table.build(found).sentences)
    assert (
        "4 simulated devices in 2 processes on 2 hosts share 5 cores, of which one host or process has too few" in said
    )


@pytest.mark.parametrize("chart_of", [efficiencies, lambda of: growth.charts(of, ["devices"])])
def test_a_point_that_shares_cores_among_others_that_do_not_is_ringed(
    chart_of: Callable[[Record], list[Chart]],
) -> None:
    def rings(of: Record) -> list[dict[str, Any]]:
        spec = chart_of(of)[0].spec
        ringed = [one for one in spec["layer"] if isinstance(one["mark"], dict) and one["mark"].get("size") == 240]
        return [row for one in ringed for row in spec["datasets"][one["data"]["name"]]]

    shapes = [(1, 1), (2, 1), (4, 1), (2, 2), (4, 2), (6, 2)]
    cases = [dataclasses.replace(case("data_parallel" if n > 1 else "single", n), processes=p) for n, p in shapes]
    times = [measured(one, TIMES) for one in cases]
    (ring,) = rings(over(record(*times, cores=3), 0, 1))
    assert (ring["x"], ring["crowded"]) == (4, True)
    assert rings(over(record(*times, cores=4), 0, 1)) == []


def test_efficiency_within_a_host_and_over_hosts_has_room_before_that_of_cores(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "175")
    terminal.show(table.build(run(0, 1, parts=True)), terminal.console())
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "over hosts" in line and "speed-up" in line]
    assert "within a host" in line
    assert "of cores" not in line
    assert "members" not in line


def test_where_no_case_is_over_several_processes_it_is_said() -> None:
    alone = over(record(measured(case("data_parallel", 3), TIMES)), 0, 0)
    said = "No case is over several of the 2 processes: that takes a mode that divides something, and a number of"
    assert [one for one in table.build(alone).sentences if one.startswith(said)]
    assert said not in "\n".join((*table.build(run(0, 0)).sentences, *table.build(record(*alone.cases)).sentences))


def test_a_line_of_its_own_is_drawn_for_each_number_of_processes() -> None:
    (chart,) = efficiencies(run(0, 1))
    assert {row[0] for row in chart.drawn.rows} == {
        "data_parallel, strong, batch 32",
        "data_parallel, strong, batch 32, 2 hosts",
    }


def with_last(found: Record, last: CaseResult) -> Record:
    return msgspec.structs.replace(found, cases=(*found.cases[:2], last))


def test_a_start_has_cores_for_each_process(tmp_path: Path) -> None:
    last = run(0, 0).cases[2]
    starts = tuple(msgspec.structs.replace(start, others=()) for start in last.starts)
    with pytest.raises(UsageError, match=r"starts\[0\].others .*: cores of 0 other processes, of 2"):
        read(written(tmp_path, with_last(run(0, 0), msgspec.structs.replace(last, starts=starts))))


def test_devices_that_processes_cannot_share_are_refused(tmp_path: Path) -> None:
    last = run(0, 0, 0).cases[2]
    third = msgspec.structs.replace(last, case=dataclasses.replace(last.case, processes=3))
    with pytest.raises(UsageError, match="2 devices can't be shared equally by 3 processes"):
        read(written(tmp_path, with_last(run(0, 0, 0), third)))


def written(folder: Path, of: Record) -> Path:
    write(of, folder / "run.json")
    return folder / "run.json"


def test_more_processes_than_the_run_was_in_are_refused(tmp_path: Path) -> None:
    alone = msgspec.structs.replace(run(0, 0), processes=())
    with pytest.raises(UsageError, match=r"cases\[2\]\.case: it is over 2 processes, and the run was in 1"):
        read(written(tmp_path, alone))


def test_ranks_and_machines_are_numbered(tmp_path: Path) -> None:
    first, second = run(0, 1).processes
    for processes_, message in (((second, first), "their ranks are 1, 0"), ((second,), "their ranks are 1")):
        with pytest.raises(UsageError, match=message):
            read(written(tmp_path, msgspec.structs.replace(run(0, 1), processes=processes_)))
    with pytest.raises(UsageError, match="their machines are 0, 2, and are to be numbered"):
        read(written(tmp_path, run(0, 2)))


def spread(*seconds: float, longest: float) -> Record:
    found = in_each(measured(BOTH, TIMES), "reference", ((1e-4,),), ((1e-4,),))
    last = found.samples[-1]
    block = dataclasses.replace(last.block, seconds=longest, processes_s=seconds)
    samples = (*found.samples[:-1], msgspec.structs.replace(last, block=block))
    return over(record(msgspec.structs.replace(found, samples=samples)), 0, 0)


def test_a_block_takes_as_long_as_in_its_slowest_process(tmp_path: Path) -> None:
    assert read(written(tmp_path, spread(0.1, 0.2, longest=0.2)))
    with pytest.raises(UsageError, match=r"its seconds of 0.1 aren't the largest of its processes_s, 0.2"):
        read(written(tmp_path, spread(0.1, 0.2, longest=0.1)))
    with pytest.raises(UsageError, match=r"its processes_s are of 3 processes, and its case is over 2"):
        read(written(tmp_path, spread(0.1, 0.2, 0.2, longest=0.2)))


def test_the_reference_is_that_of_the_first_process(tmp_path: Path) -> None:
    found = in_each(measured(BOTH, TIMES), "reference", TIMES, tuple(tuple(2 * s for s in r) for r in TIMES))
    assert list(by_round(found, "reference").values()) == [pytest.approx(s) for r in TIMES for s in r]
    told = digest(written(tmp_path, over(record(found), 0, 0)))
    assert told is not None
    assert {beside: pytest.approx(values) for beside, values in told.reference_s.items()} == {
        ("tutorial", 1): (1.05e-3, 1.025e-3)
    }
    assert "processes=2 on 1 host" in told.machine.settings


def test_records_of_other_numbers_of_processes_say_so_and_compare_what_is_alike() -> None:
    alone = record(measured(case("single"), TIMES), cores=2)
    found = compared([("one", alone), ("two", run(0, 0))])
    (contrast,) = found.contrasts
    assert list(contrast.matches) == ["tutorial/single-1/m1/b32"]
    assert any(said.startswith("Processes: 1 in one, 2 on 1 host in two.") for said in caveats.sentences(found))
    rows = {row[0]: row[1:] for row in surroundings.table(found.records).rows}
    assert rows["processes"] == ("1", "2 on 1 host")


def test_a_case_over_two_hosts_is_not_held_against_it_on_one() -> None:
    (contrast,) = compared([("here", run(0, 0)), ("apart", elsewhere(run(0, 1)))]).contrasts
    apart = {name: [one.key for one in match.spread] for name, match in contrast.matches.items()}
    assert apart["tutorial/data_parallel-2/m1/b32/p2"] == ["hosts of 2 processes"]
    assert apart["tutorial/single-1/m1/b32"] == []
    assert [match.comparable for match in contrast.matches.values()] == [True, True, False]


def test_why_a_case_over_other_hosts_is_not_comparable_is_said_and_its_row_tells_its_processes() -> None:
    report = compared_report.build(compared([("here", run(0, 0)), ("apart", run(0, 1))]))
    assert (
        "tutorial/data_parallel-2/m1/b32/p2 is not comparable, since it isn't over as many hosts in both: hosts of 2 "
        "processes is 1 in here and 2 in apart."
    ) in report.sentences
    assert not any("doesn't compute the same" in said for said in report.sentences)
    cases = report.tables[0]
    place = [column.heading for column in cases.columns].index("processes")
    assert [(row[place], row[-1]) for row in cases.rows] == [("1", ""), ("1", ""), ("2", "not comparable with apart")]
