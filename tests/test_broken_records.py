"""What isn't a record is refused in a sentence with the place, and whatever a record says is shown harmlessly."""

import copy
import errno
import functools
import gzip
import json
import operator
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import case, measured, record

from bench.cases import Case
from bench.cli import main
from bench.commands.reporting import _section
from bench.comparison import Comparison, PairResult, Restart, Round, SideResult
from bench.comparison import read as read_comparison
from bench.duet import Pace
from bench.measured import Certificate, Check
from bench.noise import known
from bench.reading import SIZE_AT_MOST
from bench.record import read
from bench.report import markdown, structured, terminal
from bench.report.document import Report
from bench.report.harmless import harmless
from bench.verdict import Rule, Trial
from toynet.errors import UsageError

GOLDEN = Path(__file__).parent / "golden"
RESULTS = Path(__file__).parent.parent / "results"
NOT_A_RECORD = "not a record of `python -m bench`: "
TIMES = [[1e-3, 1.1e-3], [1.05e-3, 1e-3]]
RUN = record(
    measured(case("single"), TIMES, fused=TIMES),
    measured(case("data_parallel", 2), TIMES),
)
FIRST = "tutorial/single-1/m1/b32"
Change = Callable[[dict[str, Any]], object]


def tree(of: msgspec.Struct) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(of))


def changed(change: Change, of: msgspec.Struct = RUN) -> bytes:
    """A record's file with something else in it."""
    made = tree(of)
    change(made)
    return json.dumps(made).encode()


def report_of(path: Path) -> Report:
    return _section(path, Path()).report


def said_of(path: Path, reader: Callable[[Path], object] = read) -> str:
    """The sentence with which a file is refused, without its name."""
    with pytest.raises(UsageError) as refused:
        reader(path)
    said = str(refused.value)
    assert said.startswith(str(path))
    assert said.endswith(".")
    assert "\n" not in said
    return said.removeprefix(str(path)).removeprefix(": ").removeprefix(NOT_A_RECORD)


def test_the_record_that_is_broken_here_is_sound(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(changed(lambda r: None))
    assert read(tmp_path / "run.json") == RUN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty."),
        (b"not json", "invalid character in line 1, column 5."),
        (b'{\n "schema": 1', "it ends too early, in line 2, column 13."),
        (changed(lambda r: None)[:-200], "it ends too early, in line 1, column "),
        (b'{\n "schema": 1,\n "seconds": NaN}', "NaN, which is no number of JSON, in line 3, column 13."),
        (b'{"seconds": Infinity}', "Infinity, which is no number of JSON, in line 1, column 13."),
        (b'{"seconds": -Infinity}', "-Infinity, which is no number of JSON, in line 1, column 13."),
        (b"[]", "expected an object, got a list."),
        (b"[1, 2]", "expected an object, got a list."),
        (b"null", "expected an object, got null."),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "invalid character in line 1, column 1."),
        (b'{"schema": 1,\n"created": "\xff"}', "it isn't UTF-8 in line 2, column 13."),
        (gzip.compress(b"{}", mtime=0), "it is compressed by gzip; unpack it first."),
        (b"\xef\xbb\xbf{}", "it begins with a byte order mark; save it as UTF-8 without one."),
        ("{}".encode("utf-16"), "it is UTF-16; save it as UTF-8."),
        (b'{"schema": 1, "created": ' + b"[" * 100_000, "it is nested too deeply."),
        (b'{"machine_info": {}, "benchmarks": []}', "the field `schema` is missing."),
        (b'{"results": [{"command": "sleep 1"}]}', "the field `schema` is missing."),
        (b'{"schema": 1}', "the field `created` is missing."),
        (b'{"schema": "1"}', "schema: expected a whole number, got a text."),
        (b'{"schema": true}', "schema: expected a whole number, got true or false."),
        (b'{"schema": 0}', "schema: expected a whole number >= 1, got 0."),
        (b'{"schema": -1}', "schema: expected a whole number >= 1, got -1."),
        (b'{"schema": 99}', "its schema is 99, and this version reads up to "),
    ],
)
def test_a_file_that_holds_something_else_is_refused_with_the_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    assert said_of(path).startswith(message)


def in_case(change: Change) -> Change:
    return lambda r: change(r["cases"][0])


def in_sample(change: Change) -> Change:
    return lambda r: change(r["cases"][0]["samples"][0])


def in_block(**fields: Any) -> Change:
    return in_sample(lambda sample: sample["block"].update(fields))


def found(**fields: Any) -> Change:
    return lambda r: r.update(findings={"tutorial": [{"kind": "retrace", "message": "so", "fix": "", **fields}]})


def refusing(pair: list[str]) -> Change:
    return in_case(lambda c: c["certificate"].update(refused=[pair]))


FAILED = msgspec.to_builtins(Certificate((Check("losses", False, "2", "1"),), (0,)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("cases"), "the field `cases` is missing."),
        (lambda r: r.update(cases=[]), "cases: there is no case."),
        (lambda r: r.update(mood="good"), "there is a field `mood`, which isn't known."),
        (lambda r: r.update(seconds="long"), "seconds: expected a number, got a text."),
        (lambda r: r.update(seconds=10**400), "seconds: number out of range."),
        (lambda r: r.update(seconds=1e308), "seconds: expected a number <= 1000000000.0, got 1e+308."),
        (lambda r: r.update(created="today"), "created: a time such as 2026-11-25T08:00:00Z was expected, got today."),
        (lambda r: r.update(complete=1), "complete: expected true or false, got a whole number."),
        (lambda r: r["host"].update(usable_cores=[]), "host: there is no core."),
        (lambda r: r["host"].update(memory_bytes=2**80), "host.memory_bytes: expected a whole number <= 900719925474"),
        (lambda r: r["schedule"].update(restarts=-1), "schedule.restarts: expected a whole number >= 0, got -1."),
        (lambda r: r["cases"].append(r["cases"][0]), f"cases[2]: {FIRST} is there twice, first as cases[0]."),
        (in_case(lambda c: c.update(status="fine")), f"cases[0].status ({FIRST}): invalid enum value 'fine'."),
        (in_case(lambda c: c["case"].update(mode="singel")), "cases[0].case: no mode is called 'singel'; did you mean"),
        (in_case(lambda c: c["case"].update(members=8)), "cases[0].case: mode 'single' trains 1 member, got 8; 'ens"),
        (in_case(lambda c: c["case"].update(batch=2**31)), "cases[0].case: its batch must be below 2**31, got 2147"),
        (in_case(lambda c: c["case"].update(path="other")), "cases[0].case: its path is 'other', and is to be one of"),
        (in_case(lambda c: c["case"].update(workload="")), "cases[0].case: its workload has no name."),
        (in_case(lambda c: c["case"].update(hidden_dim=8)), "cases[0].case: it has one of hidden_layers and hidden_d"),
        (in_case(lambda c: c["case"].update(colour=1)), "there is a field `colour`, which isn't known."),
        (in_case(lambda c: c.update(cost=None)), f"cases[0] ({FIRST}): it was measured unstarted."),
        (in_case(lambda c: c["cost"].update(flops=1e-300)), f"cases[0].cost ({FIRST}): its flops of 1e-300 are less "),
        (in_case(lambda c: c["cost"].update(accessed_bytes=0.5)), "its accessed_bytes of 0.5 are less than one."),
        (in_case(lambda c: c.update(starts=[])), f"cases[0] ({FIRST}): it was measured unstarted."),
        (
            in_case(lambda c: c.update(trace="//elsewhere/x")),
            f"cases[0].trace ({FIRST}): a path relative to the ",
        ),
        (in_case(lambda c: c.update(certificate=None)), f"cases[0].certificate ({FIRST}): it was measured without "),
        (in_case(lambda c: c.update(certificate=FAILED)), f"cases[0].certificate ({FIRST}): it was measured without "),
        (
            in_case(lambda c: c.update(samples=[])),
            f"cases[0].samples ({FIRST}): it was measured, and there is no block",
        ),
        (lambda r: r.update(findings=[]), "findings: expected an object, got a list."),
        (lambda r: r.update(findings={"tutorial": 1}), "findings[...]: expected a list, got a whole number."),
        (found(message=None), "findings[...][0].message: expected a text, got null."),
        (found(severity="fatal"), "findings[...][0].severity: invalid enum value 'fatal'."),
        (found(line=3), "findings[...][0]: there is a field `line`, which isn't known."),
        (refusing(["fsdp"]), f"cases[0].certificate.refused[0] ({FIRST}): expected a list of length 2."),
        (refusing(["single", "why"]), f"cases[0].certificate.refused ({FIRST}): its own mode is among them."),
        (refusing(["x", "why"]), f"cases[0].certificate.refused ({FIRST}): no mode is called 'x'; there are: "),
        (in_sample(lambda s: s.pop("block")), f"cases[0].samples[0] ({FIRST}): the field `block` is missing."),
        (in_sample(lambda s: s.update(restart=7)), f"cases[0].samples[0] ({FIRST}): restart 7 was never started."),
        (in_sample(lambda s: s.update(round=1)), "its block of latency in round 1 of restart 0 is there twice."),
        (
            in_sample(lambda s: s.update(kind="product")),
            f"cases[0].samples[0] ({FIRST}): its case has no part product.",
        ),
        (in_block(seconds=-1), f"cases[0].samples[0].block.seconds ({FIRST}): expected a number >= 0.0, got -1."),
        (in_block(seconds="fast"), f"cases[0].samples[0].block.seconds ({FIRST}): expected a number, got a text."),
        (in_block(seconds=True), f"cases[0].samples[0].block.seconds ({FIRST}): expected a number, got true or false."),
        (in_block(seconds=0), f"cases[0].samples[0] ({FIRST}): its time of 0 s for 10 can't be."),
        (in_block(seconds=5e-324), f"cases[0].samples[0] ({FIRST}): its time of 4.94066e-324 s for 10 can't be."),
        (in_block(steps=0), f"cases[0].samples[0] ({FIRST}): it has no step."),
        (in_block(steps=1.5), f"cases[0].samples[0].block.steps ({FIRST}): expected a whole number, got a number."),
        (in_block(dispatch_s=None), f"cases[0].samples[0] ({FIRST}): steps that are waited for, without dispatch_s"),
        (in_block(fastest_s=0), f"cases[0].samples[0] ({FIRST}): steps that are waited for, without dispatch_s"),
    ],
)
def test_what_a_run_cannot_have_left_is_refused_with_the_place_and_the_cases_name(
    tmp_path: Path, change: Change, message: str
) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(changed(change))
    assert message in said_of(path)


def comparison() -> Comparison:
    single = Case(workload="tutorial", mode="single")
    restarts = (Restart(((0,), (0,)), (1, 1), (Round("A", 1.0, 1.1, 2.2),)),) * 3
    trial = Trial((0.1, 0.2, 0.1), verdict="slower")
    pair = PairResult(FIRST, single, single, verdict="slower", trial=trial, restarts=restarts)
    side = SideResult(".", None, False, RUN.backend)
    return Comparison(
        created="2026-11-25T08:00:00Z",
        command=(),
        rule=Rule(),
        pace=Pace(),
        host=RUN.host,
        a=side,
        b=side,
        load_at_start=0.0,
        load_at_end=0.0,
        seconds=1.0,
        pairs=(pair,),
    )


def in_pair(**fields: Any) -> Change:
    return lambda r: r["pairs"][0].update(fields)


def played(seconds: float) -> Change:
    restart = {
        "cores": [[0], [0]],
        "steps": [1, 1],
        "rounds": [{"first": "A", "a_s": seconds, "b_s": 1.0, "asked_s": 1}],
    }
    return in_pair(restarts=[restart])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(pairs=[]), "pairs: there is no pair."),
        (lambda r: r["pairs"].append(r["pairs"][0]), f"pairs[1]: {FIRST} is there twice, first as pairs[0]."),
        (lambda r: r["pairs"][0].update(kind="stream"), f"pairs[0].kind ({FIRST}): blocks of stream aren't compared."),
        (lambda r: r["pairs"][0]["a"].update(mode="x"), f"pairs[0].a ({FIRST}): no mode is called 'x'; there are: "),
        (lambda r: r["pairs"][0]["trial"].update(logs=[]), f"pairs[0].trial.logs ({FIRST}): it is slower, without"),
        (lambda r: r["pairs"][0]["trial"].update(logs=[99]), f"pairs[0].trial.logs[0] ({FIRST}): expected a number <="),
        (played(-1), f"pairs[0].restarts[0].rounds[0].a_s ({FIRST}): expected a number >= 0.0, got -1."),
        (played(0), f"pairs[0].restarts[0].rounds[0] ({FIRST}): its time of 0 s for 1 can't be."),
        (in_pair(restarts=[]), f"pairs[0].trial.logs ({FIRST}): ratios of 3 restarts, and 0 with rounds."),
        (
            lambda r: r["pairs"][0]["restarts"][1].update(rounds=[]),
            f"pairs[0].trial.logs ({FIRST}): ratios of 3 restarts, and 2 with rounds.",
        ),
        (lambda r: r.update(type="noise"), "type: invalid value 'noise'."),
    ],
)
def test_what_a_comparison_cannot_have_left_is_refused_with_the_place_and_the_pairs_name(
    tmp_path: Path, change: Change, message: str
) -> None:
    path = tmp_path / "ab.json"
    path.write_bytes(changed(change, comparison()))
    assert message in said_of(path, read_comparison)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda r: r["results"][0]["ratio"].update(low=r["results"][0]["ratio"]["high"], high=1),
            "results[0].ratio (loop): ",
        ),
        (lambda r: r["results"][0]["ratio"].update(low=None), "results[0].ratio (loop): its interval has one end."),
        (lambda r: r["results"][0]["ratio"].update(low=0), "isn't within its interval of 0.0 to "),
        (lambda r: r["results"][0].update(ratio=None), "results[0].ratio (loop): it was measured, and there is none."),
        (lambda r: r["results"].append(r["results"][0]), "loop is there twice."),
        (lambda r: r["samples"].append(r["samples"][0]), "its round 0 of restart 0 is there twice."),
        (lambda r: r["samples"][0]["took"].update(trainings=0), "samples[0] (ours-1): it has no step."),
        (lambda r: r["samples"][0]["took"].update(seconds=-2), "samples[0].took.seconds: expected a number >= 0.0, "),
    ],
)
def test_what_a_run_against_peers_cannot_have_left_is_refused_with_the_place(
    tmp_path: Path, change: Change, message: str
) -> None:
    made = json.loads((RESULTS / "peers" / "training.json").read_bytes())
    change(made)
    path = tmp_path / "peers.json"
    path.write_text(json.dumps(made), encoding="utf-8")
    assert message in said_of(path, report_of)


def test_noise_of_a_single_restart_is_refused(tmp_path: Path) -> None:
    noise = {"type": "noise", "schema": 1, "created": "2026-11-25", "machine": {}, "logs": {"a latency": [0.1]}}
    (tmp_path / "noise.json").write_text(json.dumps(noise), encoding="utf-8")
    assert said_of(tmp_path / "noise.json", known) == "logs of a latency: one restart has no noise."


# What isn't a file to read


EXPECTED = "a record that `python -m bench run` wrote was expected."


def test_what_cannot_be_opened_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    assert said_of(tmp_path / "missing.json") == f"No such file or directory; {EXPECTED}"
    assert said_of(tmp_path) == f"Is a directory; {EXPECTED}"
    assert said_of(tmp_path / "loop.json") == f"Too many levels of symbolic links; {EXPECTED}"


def test_a_file_that_may_not_be_read_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.json").touch(mode=0)

    def denied(path: str, flags: int) -> int:
        """As for anyone but root, who may read every file."""
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr("bench.reading.os.open", denied)
    assert said_of(tmp_path / "run.json") == f"Permission denied; {EXPECTED}"


def test_what_run_and_ab_may_draw_by_and_any_finite_loss_is_read_again(tmp_path: Path) -> None:
    def extreme(r: Any) -> None:
        r["schedule"]["seed"] = 2**53
        r["cases"][0]["certificate"]["losses"] = [1e308, -1.7e308, 1e31]

    (tmp_path / "run.json").write_bytes(changed(extreme))
    assert read(tmp_path / "run.json").schedule.seed == 2**53
    assert report_of(tmp_path / "run.json").tables


def test_a_pipe_and_a_device_are_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    assert said_of(tmp_path / "pipe.json") == f" is no regular file; {EXPECTED}"
    assert said_of(Path("/dev/zero")) == f" is no regular file; {EXPECTED}"


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "run.json").touch()
    os.truncate(tmp_path / "run.json", 200_000_000)  # takes no room
    assert (
        said_of(tmp_path / "run.json") == " has 200 MB, and a record has 128 MB at most; measure fewer cases at once."
    )


def test_a_record_of_a_thousand_cases_has_room(tmp_path: Path) -> None:
    # Of the committed records the one that has most for its cases, with 26 of them taken apart.
    largest = RESULTS / "baseline-scaling-tutorial-cpu.json"
    assert largest.stat().st_size / len(read(largest).cases) * 1000 < SIZE_AT_MOST / 2


# What is read, whatever it is called


def test_the_last_of_two_equal_keys_counts_and_further_spaces_do_not(tmp_path: Path) -> None:
    content = changed(lambda r: None).replace(b'"seconds":', b'"seconds": 3.0, "seconds":', 1)
    (tmp_path / "run.json").write_bytes(content + b"\n\n ")
    assert read(tmp_path / "run.json") == RUN


ACTING = "\x1b[31m\nred\u202eder\u2066"


@pytest.mark.parametrize(
    "name", [ACTING, "<script>alert(1)</script>", "|a|b|", "[link](x)", "שלום", "日本語", "é👩\u200d👧"]
)
def test_a_case_of_any_name_is_reported_and_its_name_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    made = tree(RUN)
    made["host"]["cpu_model"] = made["command"][0] = name
    for result in made["cases"]:
        result["case"]["workload"] = name
        result["certificate"]["refused"] = [["fsdp", name]]
    made["findings"] = {name: [{"kind": name, "message": name, "fix": name, "severity": "warning"}]}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(made), encoding="utf-8")
    report = report_of(path)
    terminal.show(report, terminal.console())
    for text in (capsys.readouterr().out, markdown.render(report), structured.render([report])):
        assert harmless(text.replace("\n", "")) == text.replace("\n", "")
    assert report.tables[0].title == (name if name != ACTING else r"\x1b[31m red\u202eder\u2066")
    assert "<script>" not in markdown.render(report).replace("\\<", "")


def test_what_acts_in_a_files_name_or_its_kind_is_spelled_out_in_its_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "\x1b[2J\n.json"
    path.write_text(json.dumps({"type": "\x1b[2J"}), encoding="utf-8")
    assert main(["report", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/\\x1b[2J .json is a \\x1b[2J, and a record of `run`, `ab` or `gate` was expected.\n"
    )


def test_text_in_which_nothing_acts_stays_itself() -> None:
    text = "שלום, 82 µs ±5% 👩\u200d👧"
    assert harmless(text) is text


def test_the_sound_records_of_a_call_are_reported_and_it_ends_as_unusable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.json").touch()
    (tmp_path / "half.json").write_bytes(changed(lambda r: None)[:1000])
    golden = str(GOLDEN / "record-1.json")
    argv = ["report", str(tmp_path / "empty.json"), golden, str(tmp_path / "half.json"), golden]
    assert main([*argv, "--format", "markdown"]) == 2
    out, err = capsys.readouterr()
    assert out.count("# Step time by mode and devices") == 2
    assert [line.split(": ")[1].rpartition("/")[2] for line in err.splitlines()] == ["empty.json", "half.json"]
    assert main([*argv, "--format", "json"]) == 2
    assert len(json.loads(capsys.readouterr().out)["reports"]) == 2


# Whatever becomes of a record


def places(of: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value within a value."""
    inner = of.items() if isinstance(of, dict) else enumerate(of) if isinstance(of, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


def shrunk(path: Path) -> dict[str, Any]:
    """A record with its first cases, and their first samples."""
    found = json.loads(path.read_bytes())
    for result in found["cases"]:
        result["samples"] = [s for s in result["samples"] if s["round"] == 0 and s["restart"] < 2]
        result["starts"] = result["starts"][:2]
    return {**found, "cases": found["cases"][:4]}


REAL = [
    shrunk(RESULTS / "baseline-cpu.json"),
    shrunk(RESULTS / "baseline-scaling-tutorial-cpu.json"),
    shrunk(GOLDEN / "record-5.json"),
]
PLACES = [list(places(real)) for real in REAL]
ODD = (None, True, -1, 0, 1, 1.5, 1e-308, 1e-9, 1e9, 1e30, 1e308, 2**31, 2**53, 2**63, "", ACTING, "fast", "fused", [])


def broken(made: Any, way: tuple[Any, ...], how: str, odd: Any) -> None:
    """Removes, replaces, scales or doubles what stands at a place, if it is still there."""
    *within, key = way
    try:
        parent = functools.reduce(operator.getitem, within, made)
        found = parent[key]
    except (LookupError, TypeError):
        return
    if how == "remove":
        del parent[key]
    elif how == "scale" and type(found) in (int, float):
        parent[key] = type(found)(found * 10.0 ** (len(within) * 3 - 9))
    elif how == "double" and isinstance(found, list):
        parent[key] = found * 2
    else:
        parent[key] = odd


def reported(path: Path) -> str:
    """The report of a file, or the sentence with which it is refused."""
    try:
        report = report_of(path)
    except UsageError as error:
        return str(error)
    return markdown.render(report) + structured.render([report])


HOWS = ("remove", "replace", "scale", "double")


@settings(max_examples=150)
@given(st.integers(0, len(REAL) - 1), st.data())
def test_whatever_becomes_of_a_record_it_is_reported_or_refused_in_a_sentence(which: int, data: st.DataObject) -> None:
    made = copy.deepcopy(REAL[which])
    for _ in range(data.draw(st.integers(1, 3))):
        way = data.draw(st.sampled_from(PLACES[which]))
        broken(made, way, data.draw(st.sampled_from(HOWS)), data.draw(st.sampled_from(ODD)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.json")
        path.write_text(json.dumps(made), encoding="utf-8")
        assert re.match(f"# Step time|{re.escape(str(path))}: [^\n]*\\.$", reported(path))


@given(st.integers(0, len(REAL) - 1), st.integers(0, 10**6))
def test_a_record_that_was_cut_short_anywhere_is_refused_with_the_line(which: int, at: int) -> None:
    content = json.dumps(REAL[which], indent=1).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.json")
        path.write_bytes(content[: at % len(content)])
        assert re.match("it is empty|it ends too early, in line |invalid .* in line |expected ", said_of(path))


@pytest.mark.parametrize("name", ["run.md", "run.png"])
def test_who_hands_over_a_report_is_told_of_the_record_beside_it(name: str, tmp_path: Path) -> None:
    beside = tmp_path / "run.json"
    (tmp_path / name).write_bytes(b"\x89 what a report is like")
    with pytest.raises(UsageError, match=NOT_A_RECORD):
        read(tmp_path / name)
    beside.touch()
    with pytest.raises(UsageError, match=re.escape(f"{name} is a report; name the record beside it, {beside}.")):
        read(tmp_path / name)
