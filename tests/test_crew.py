"""The workers of one case in all of its processes, with channels that answer as a test says, and a clock they move."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import crew, wire
from bench.asking import LOOK_S
from bench.cases import Case
from bench.crew import GRACE_S, UNDER_WAY_S, Crew, Meeting, Post, dealt, slowest
from bench.environment import Backend, Host
from bench.measured import Block, Certificate, Check, Compiled, Cost, Parts, Stages
from bench.record import Process
from bench.workers import How, WorkerFailed
from toynet.errors import ProcessLost, UsageError

LIMIT_S = 60.0
OVER = Case(workload="tutorial", mode="data_parallel", data_shards=6, processes=3)
ALONE = Case(workload="tutorial", mode="data_parallel", data_shards=2)
NEVER = None
LAST: How = "silent"
COST = Cost(1.0, 2.0, 3, 4, 5, 1, ())
STAGES = Stages(0.1, 0.2, 0.3, True, 0.4, 0.5)


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Fake:
    """A channel that has an answer for each request, so many seconds after it."""

    def __init__(self, clock: Clock, answers: Sequence[tuple[float, bytes | Exception] | None], silent: How) -> None:
        self.asked: list[bytes] = []
        self.closed = 0
        self._clock, self._answers = clock, list(answers)
        self._silent: How = silent
        self._due: tuple[float, bytes | Exception] | None = None

    def tell(self, message: bytes) -> None:
        self.asked.append(message)
        if (answer := self._answers.pop(0)) is not None:
            self._due = self._clock.now + answer[0], answer[1]

    def heard(self, *, wait: bool = True) -> bytes | None:
        if wait and (self._due is None or self._due[0] > self._clock.now):
            self._clock.now += LOOK_S if self._due is None else min(LOOK_S, self._due[0] - self._clock.now)
        if self._due is None or self._due[0] > self._clock.now:
            return None
        (_, answer), self._due = self._due, None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def silent(self, limit_s: float) -> WorkerFailed:
        return WorkerFailed(f"no answer within {limit_s:g} s", self._silent)

    def close(self) -> None:
        self.closed += 1


def answer(value: Any) -> bytes:
    return msgspec.json.encode({"answer": value})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(crew, "time", clock)
    return clock


Said = tuple[float, bytes | Exception] | None
Built = Callable[..., tuple[Crew, list[Fake]]]


@pytest.fixture
def built(clock: Clock) -> Built:
    """A crew of a case that is prepared, whose processes answer the next request so."""

    def build(
        *said: Said, case: Case = OVER, silent: Sequence[How] = (), look: Callable[[], None] = lambda: None
    ) -> tuple[Crew, list[Fake]]:
        prepared = (0.0, answer(None))
        hows: list[How] = [*silent, *(LAST for _ in said)]
        fakes = [Fake(clock, [prepared, one], how) for one, how in zip(said, hows, strict=False)]
        starts = [*fakes, *[Fake(clock, [prepared], LAST)] * (3 - len(fakes))]
        posts = [Post(f"rank {i} on {'abc'[i]}", lambda one=one: one, None) for i, one in enumerate(starts)]
        made = Crew(posts, Meeting("127.0.0.1", True, LIMIT_S), LIMIT_S, None, look)
        made.begin_prepare(case, [0, 1], *[[2 * i, 2 * i + 1] for i in range(1, case.processes)])
        made.end_prepare()
        return made, fakes

    return build


def blocks(*seconds: float) -> list[Said]:
    return [(0.0, wire.block_answer(Block(8, one, 0.01, 0.02))) for one in seconds]


@pytest.mark.parametrize(("case", "own"), [(dataclasses.replace(OVER, processes=2), 2), (ALONE, 1)])
def test_where_jax_starts_in_all_processes_or_none_those_that_a_case_is_not_in_stand_by(
    clock: Clock, case: Case, own: int
) -> None:
    fakes = [Fake(clock, [(float(i), answer(None)), (0.0, answer(i))], LAST) for i in range(3)]
    posts = [Post(f"rank {i} on a", lambda one=one: one, None) for i, one in enumerate(fakes)]
    made = Crew(posts, Meeting("127.0.0.1", True, LIMIT_S), LIMIT_S, None, lambda: None, whole=True)
    made.begin_prepare(case, *[[i] for i in range(own)])
    made.end_prepare()
    assert clock.now == 2.0  # when the last of them was ready
    asked = [json.loads(fake.asked[0]) for fake in fakes]
    assert [one["ask"] for one in asked] == ["prepare"] * own + ["stand_by"] * (3 - own)
    assert [(one["joined"]["count"], one["joined"]["process_id"]) for one in asked] == [(3, 0), (3, 1), (3, 2)]
    assert {one["devices"] for one in asked[own:]} == {case.devices // case.processes}
    assert made.traces() == own - 1
    assert [len(fake.asked) for fake in fakes] == [2] * own + [1] * (3 - own)
    made.close()
    assert [fake.closed for fake in fakes] == [1, 1, 1]


def test_each_process_is_told_its_cores_and_its_number_and_all_the_same_meeting(built: Built) -> None:
    _, fakes = built(NEVER, NEVER, NEVER)
    asked = [json.loads(fake.asked[0]) for fake in fakes]
    assert [one.pop("cores") for one in asked] == [[0, 1], [2, 3], [4, 5]]
    assert [one["joined"].pop("process_id") for one in asked] == [0, 1, 2]
    assert asked[0] == asked[1] == asked[2]
    assert asked[0]["case"] == dataclasses.asdict(OVER)
    assert asked[0]["joined"]["count"] == 3
    assert asked[0]["joined"]["loopback"]
    assert asked[0]["joined"]["address"].startswith("127.0.0.1:")


def test_a_case_of_one_process_is_in_the_first_alone_and_joins_nothing(built: Built) -> None:
    made, fakes = built(*blocks(0.5), case=ALONE)
    assert json.loads(fakes[0].asked[0])["joined"] is None
    assert made.block("latency", 8) == Block(8, 0.5, 0.01, 0.02)


def test_all_processes_are_asked_for_the_same_blocks_and_the_slowest_counts(built: Built) -> None:
    made, fakes = built(*blocks(0.5, 0.7, 0.6))
    assert made.block("throughput", 8) == Block(8, 0.7, 0.01, 0.02, processes_s=(0.5, 0.7, 0.6))
    assert {fake.asked[1] for fake in fakes} == {wire.block_request("throughput", 8)}


def test_compiling_takes_as_long_as_in_the_slowest_process_stage_by_stage(built: Built) -> None:
    other = dataclasses.replace(STAGES, trace_s=0.9, compile_s=0.1, compile_cached=False)
    told = [Compiled(STAGES, COST, 0.7), Compiled(other, COST, 0.6), Compiled(STAGES, COST, 0.5)]
    made, _ = built(*[(0.0, answer(dataclasses.asdict(one))) for one in told])
    made.begin_compile()
    stages = Stages(0.9, 0.2, 0.3, False, 0.4, 0.5)
    assert made.end_compile() == Compiled(stages, COST, 0.7)
    assert slowest([STAGES, other]) == stages
    assert slowest([STAGES]) == STAGES


def test_rough_times_are_the_longest_of_any_process(built: Built) -> None:
    said = [{"latency": 1.0, "fused": 0.1}, {"latency": 0.9, "fused": 0.3}, {"latency": 0.8, "fused": 0.2}]
    made, _ = built(*[(0.0, answer(one)) for one in said])
    assert made.rough(("latency", "fused")) == {"latency": 1.0, "fused": 0.3}


def test_traces_are_those_of_the_process_that_traced_most(built: Built) -> None:
    made, _ = built(*[(0.0, answer(count)) for count in (1, 3, 2)])
    assert made.traces() == 3


def test_parts_and_the_profile_are_those_of_the_first_process(built: Built) -> None:
    made, _ = built(*[(0.0, answer(dataclasses.asdict(Parts(("product",), one, 0.0)))) for one in (1.0, 2.0, 3.0)])
    assert made.take_apart(peaks=True) == Parts(("product",), 1.0, 0.0)
    made, fakes = built(*[(0.0, answer(f"/host{i}/trace")) for i in range(3)])
    assert made.profile(Path("/traces/case")) == Path("/host0/trace")
    folders = [json.loads(fake.asked[1])["folder"] for fake in fakes]
    assert folders == ["/traces/case", "/traces/case-rank1", "/traces/case-rank2"]


def certificate(**passed: bool) -> Certificate:
    return Certificate(tuple(Check(name, ok, "off by 1", "0") for name, ok in passed.items()), (0,))


def test_what_fails_in_another_process_only_is_named_by_it(built: Built) -> None:
    certificates = [
        certificate(gradients=True, losses=False, step=True),
        certificate(gradients=True, losses=False, step=True),
        certificate(gradients=False, losses=False, step=True),
    ]
    made, _ = built(*[(0.0, answer(dataclasses.asdict(one))) for one in certificates])
    made.begin_check()
    found = made.end_check()
    assert [(check.name, check.passed) for check in found.checks] == [
        ("gradients", True),
        ("losses", False),
        ("step", True),
        ("gradients (rank 2 on c)", False),
    ]
    assert "gradients (rank 2 on c): off by 1" in found.failures


def failed(how: How, after_s: float = 0.0) -> Said:
    return after_s, WorkerFailed(f"it {how}", how)


RIGHT = blocks(0.5)[0]


@pytest.mark.parametrize(
    ("said", "why", "how"),
    [
        ([RIGHT, failed("ended"), RIGHT], "rank 1 on b: it ended", "ended"),
        ([failed("raised"), failed("ended"), failed("stopped")], "rank 1 on b: it ended", "ended"),
        ([failed("silent"), failed("raised"), failed("stopped")], "rank 2 on c: it stopped", "stopped"),
        ([failed("silent"), failed("raised"), failed("silent")], "rank 1 on b: it raised", "raised"),
        ([failed("raised"), RIGHT, failed("raised")], "rank 0 on a: it raised; rank 2 on c: it raised", "raised"),
        # What ends one makes others fail before it is heard of, as a closed connection does.
        ([failed("raised"), failed("ended", 1.0), NEVER], "rank 1 on b: it ended", "ended"),
    ],
)
def test_the_cause_is_blamed_and_not_what_followed_from_it(built: Built, said: list[Said], why: str, how: How) -> None:
    made, _ = built(*said)
    with pytest.raises(WorkerFailed) as raised:
        made.block("latency", 8)
    assert (str(raised.value), raised.value.how) == (why, how)


def test_the_users_error_names_its_process_and_stands_before_all_else(built: Built) -> None:
    unusable = 0.5, msgspec.json.encode({"unusable": "its batch gives 7 examples."})
    made, _ = built(failed("ended"), unusable, RIGHT)
    with pytest.raises(UsageError, match=r"^rank 1 on b: its batch gives 7 examples\."):
        made.block("latency", 8)


def test_a_users_error_while_others_are_asked_still_ends_them_all(built: Built) -> None:
    unusable = 0.5, msgspec.json.encode({"unusable": "its batch gives 7 examples."})
    made, _ = built(RIGHT, unusable, NEVER)
    with pytest.raises(WorkerFailed, match=r"^rank 1 on b: its batch gives 7 examples\."):
        made.block("latency", 8)


def test_of_a_lone_process_the_failure_is_told_as_it_is(built: Built) -> None:
    made, _ = built(failed("ended"), case=ALONE)
    with pytest.raises(WorkerFailed, match=r"^it ended$"):
        made.block("latency", 8)


def test_once_one_has_failed_the_others_have_little_time_to_say_how_they_did(built: Built, clock: Clock) -> None:
    made, _ = built(NEVER, failed("ended", 3.0), NEVER)
    with pytest.raises(WorkerFailed, match="rank 1 on b: it ended"):
        made.block("latency", 8)
    assert clock.now <= 3.0 + LOOK_S + GRACE_S + LOOK_S < LIMIT_S


def test_one_that_never_answers_is_named_after_the_time_limit(built: Built, clock: Clock) -> None:
    made, _ = built(RIGHT, RIGHT, NEVER)
    with pytest.raises(WorkerFailed, match=r"^rank 2 on c: no answer within 60 s") as raised:
        made.block("latency", 8)
    assert raised.value.how == "silent"
    assert LIMIT_S <= clock.now <= LIMIT_S + UNDER_WAY_S + LOOK_S


def test_where_all_are_silent_the_one_that_is_stopped_is_blamed(built: Built) -> None:
    # An agent says by itself that its worker is silent; the first process's is asked for by then only.
    made, _ = built(NEVER, failed("silent", LIMIT_S), NEVER, silent=("stopped", "silent", "silent"))
    with pytest.raises(WorkerFailed, match=r"^rank 0 on a: no answer within 60 s") as raised:
        made.block("latency", 8)
    assert raised.value.how == "stopped"


def test_what_a_look_raises_ends_the_waiting_at_once(built: Built, clock: Clock) -> None:
    looks: list[float] = []

    def look() -> None:
        looks.append(clock.now)
        if len(looks) > 3:
            raise ProcessLost("rank 2 on c has ended")

    made, _ = built(NEVER, NEVER, NEVER, look=look)
    with pytest.raises(ProcessLost):
        made.block("latency", 8)
    assert clock.now < 5 * LOOK_S


def test_all_are_closed_and_asked_no_more(built: Built) -> None:
    made, fakes = built(*blocks(0.5, 0.7, 0.6))
    made.close()
    assert [fake.closed for fake in fakes] == [1, 1, 1]


def processes(*cores: tuple[int, tuple[int, ...]]) -> list[Process]:
    """Of the host of each its number, and the cores that it may use."""
    host = Host("a CPU", 8, (), 10**9, "Linux", {}, None, False)
    backend = Backend("cpu", "cpu", 1, True, {}, "3", {})
    return [
        Process(rank, "ab"[machine], machine, dataclasses.replace(host, usable_cores=own), backend)
        for rank, (machine, own) in enumerate(cores)
    ]


def dealt_to(case: Case, drawn: Sequence[int], processes: Sequence[Process]) -> list[tuple[int, ...]]:
    """On hosts that are machines of their own."""
    return dealt(case, drawn, processes, [process.machine for process in processes])


def over(processes: int, devices: int) -> Case:
    return Case(workload="tutorial", mode="data_parallel", data_shards=devices, processes=processes)


def test_processes_of_a_host_have_cores_of_their_own() -> None:
    four = (0, 1, 2, 3)
    assert dealt_to(over(2, 4), [2, 0, 3, 1], processes((0, four), (0, four))) == [(0, 2), (1, 3)]
    assert dealt_to(over(2, 2), [2, 0, 3, 1], processes((0, four), (0, four))) == [(2,), (0,)]


def test_where_there_are_too_few_cores_they_are_shared() -> None:
    assert dealt_to(over(2, 4), [1, 0], processes((0, (0, 1)), (0, (0, 1)))) == [(0, 1), (0, 1)]
    assert dealt_to(over(2, 8), [1, 0], processes((0, (0, 1)), (0, (0, 1)))) == [(0, 1), (0, 1)]


def test_containers_of_one_machine_have_cores_of_their_own() -> None:
    assert dealt(over(2, 2), [2, 0, 3, 1], processes((0, (0, 1, 2, 3)), (1, (0, 1, 2, 3))), (0, 0)) == [(2,), (0,)]


def test_hosts_that_are_alike_have_the_same_draw() -> None:
    assert dealt_to(over(2, 2), [1, 0], processes((0, (0, 1)), (1, (0, 1)))) == [(1,), (1,)]
    assert dealt_to(over(2, 2), [5, 4], processes((0, (4, 5)), (1, (0, 1)))) == [(5,), (1,)]


def test_a_host_with_other_cores_has_those_that_are_drawn_as_far_as_it_has_them() -> None:
    assert dealt_to(over(2, 4), [3, 1, 0, 2], processes((0, (0, 1, 2, 3)), (1, (0, 1)))) == [(1, 3), (0, 1)]
    assert dealt_to(over(2, 4), [1, 0], processes((0, (0, 1)), (1, (4, 5, 6, 7)))) == [(0, 1), (4, 5)]


def test_processes_that_a_launcher_bound_to_cores_keep_to_them() -> None:
    assert dealt_to(over(2, 2), [0], processes((0, (0,)), (0, (1,)))) == [(0,), (1,)]


@given(st.data(), st.integers(1, 4), st.integers(1, 3))
def test_each_process_has_as_many_of_its_cores_as_devices_and_shares_none_while_there_are_enough(
    data: st.DataObject, count: int, each: int
) -> None:
    cores = tuple(range(data.draw(st.integers(1, 12))))
    drawn = data.draw(st.permutations(cores))
    machines = data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    found = dealt_to(over(count, count * each), drawn, processes(*[(machine, cores) for machine in machines]))
    assert all(len(own) == min(each, len(cores)) and set(own) <= set(cores) for own in found)
    for machine in set(machines):
        here = [own for own, where in zip(found, machines, strict=True) if where == machine]
        if len(here) * each <= len(cores):
            assert len(set().union(*here)) == len(here) * each
