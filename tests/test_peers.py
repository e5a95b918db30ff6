"""Rows and records with fakes, the worker's protocol, and that contenders train what they say."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import msgspec
import numpy as np
import pytest
from records import case, measured, record, reducing, taken_apart

from bench.cli import main as bench_main
from bench.events import Schedule
from bench.peers import others, ours, report, scaled
from bench.peers import record as records
from bench.peers.__main__ import main, status
from bench.peers.contender import Contender, Learned, Took
from bench.peers.live import COLD, Cold, LiveWorker
from bench.peers.measure import Plan, begun, in_turn, left_s, raced, wanted
from bench.peers.record import Peers, Result
from bench.peers.rows import ROWS, Row, by_reason, chosen, left_out
from bench.peers.worker import SEED, SEEDS, block, judged
from bench.report import markdown
from bench.stats import Estimate
from bench.workers import WorkerFailed
from toynet import fit, train
from toynet.config import PRESETS, preset
from toynet.errors import UsageError

TUTORIAL = PRESETS["tutorial"]
GOLDEN = json.loads((Path(__file__).parent / "golden" / "tutorial.json").read_text())
TWO = (
    Row(name="quick", work="a", against="b", how="live", bar=10, ours="mine", theirs="slow"),
    Row(name="quicker", work="a", against="c", how="live", bar=30, ours="mine", theirs="slower"),
)


class Fake:
    """A contender whose trainings take so long; asked for more blocks than it has, it dies."""

    def __init__(self, name: str, seconds: float, log: list[str], *, accuracy: float = 0.95, blocks: int = 100) -> None:
        self.name, self.seconds, self.log, self.accuracy, self.blocks = name, seconds, log, accuracy, blocks

    def prepare(self) -> None:
        if not self.blocks:
            raise WorkerFailed("ended with status 1")
        self.log.append(f"prepared {self.name}")

    def judge(self) -> Learned:
        return Learned(self.accuracy, 16)

    def block(self) -> Took:
        self.log.append(self.name)
        if self.log.count(self.name) > self.blocks:
            raise WorkerFailed("ended by SIGKILL, and printed nothing")
        return Took(4, 4 * self.seconds)

    def close(self) -> None:
        self.log.append(f"closed {self.name}")


def race(tmp_path: Path, log: list[str], rows: tuple[Row, ...] = TWO, **changes: dict[str, Any]) -> list[Peers]:
    """The records of 2 restarts of 3 rounds; mine takes 1 s, slow 20 s, slower 25 s."""
    plan = Plan(rows=rows, restarts=2, rounds=3, out=tmp_path / "peers.json")
    seconds = {"mine": 1.0, "slow": 20.0, "slower": 25.0}
    first = begun(plan, record().backend, cores=2)
    return list(raced(first, plan, lambda name: Fake(name, seconds[name], log, **changes.get(name, {}))))


def test_contenders_are_alive_together_and_asked_in_an_order_that_is_reversed_every_round(tmp_path: Path) -> None:
    log: list[str] = []
    race(tmp_path, log)
    names = ["mine", "slow", "slower"]
    back = names[::-1]
    prepared, closed = [f"prepared {name}" for name in names], [f"closed {name}" for name in back]
    assert log == [*prepared, *names, *back, *names, *closed, *prepared, *back, *names, *back, *closed]
    assert in_turn(names, 4) == names


def test_a_ratio_is_theirs_over_ours_and_stands_in_the_record_after_each_round(tmp_path: Path) -> None:
    found = race(tmp_path, [])
    assert [len(one.samples) for one in found] == [3, 6, 9, 12, 15, 18]
    last = records.read(tmp_path / "peers.json")
    assert last == found[-1]
    assert [one.ratio.value for one in last.results if one.ratio] == pytest.approx([20.0, 25.0])
    assert [one.kept for one in last.results] == [True, False]
    assert last.results[0].ratio is not None
    assert last.results[0].ratio.restarts == 2
    assert records.trainings(last, "mine") == 24
    assert status(last) == 1
    assert left_s(last) == 0.0


@pytest.mark.parametrize(("blocks", "rounds"), [(0, 0), (2, 2)])
def test_a_contender_that_dies_breaks_its_row_and_the_others_go_on(tmp_path: Path, blocks: int, rounds: int) -> None:
    log: list[str] = []
    last = race(tmp_path, log, slow={"blocks": blocks})[-1]
    assert [one.status for one in last.results] == ["broken", "measured"]
    assert last.results[0].why.startswith("slow: ended ")
    assert len(records.by_round(last, "slow")) == rounds
    assert len(records.by_round(last, "slower")) == 6
    assert log.count("prepared slow") == bool(blocks)  # not started again
    assert status(last) == 4
    assert "quick is broken: slow: ended" in " ".join(report.sentences(last))


def test_all_rows_break_with_the_contender_that_they_share(tmp_path: Path) -> None:
    log: list[str] = []
    last = race(tmp_path, log, mine={"blocks": 0})[-1]
    assert [one.status for one in last.results] == ["broken", "broken"]
    assert "prepared slow" not in log
    assert wanted(last, TWO) == []


def test_a_contender_that_learns_something_else_breaks_its_row(tmp_path: Path) -> None:
    last = race(tmp_path, [], slower={"accuracy": 0.8})[-1]
    assert [one.status for one in last.results] == ["measured", "broken"]
    assert last.results[1].why == (
        "slower computes something else: its test accuracy is 0.8000, and that of mine 0.9500; they may differ by 0.05"
    )
    assert records.by_round(last, "slower") == {}


def result(ratio: tuple[float, float | None, float | None], **changes: Any) -> Result:
    row = Row(name="x", work="w", against="v", how="live", bar=10, ours="mine", theirs="slow")
    return Result(dataclasses.replace(row, **changes), "measured", ratio=Estimate(*ratio, restarts=5))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (result((12, 11, 13)), "held"),
        (result((12, 9, 13)), "held, not surely"),
        (result((12, None, None)), "held, not surely"),
        (result((9, 8, 11)), "missed, not surely"),
        (result((9, 8, 9.5)), "missed"),
        (result((9, 8, 9.5), bar=None), "no bar"),
        (result((1.04, 1.03, 1.045), bar=1.05, at_most=True), "held"),
        (result((1.04, 1.03, 1.06), bar=1.05, at_most=True), "held, not surely"),
        (result((1.2, 1.1, 1.3), bar=1.05, at_most=True), "missed"),
        (Result(ROWS["loop"], "broken", "why"), "BROKEN"),
        (Result(ROWS["loop"], "left out", "why"), "left out"),
        (Result(ROWS["loop"]), "not measured"),
    ],
)
def test_whether_a_bar_is_held_is_said_in_words(found: Result, said: str) -> None:
    assert report.held(found) == said


def test_the_report_has_a_row_for_each_and_a_sentence_for_each_missed_bar(tmp_path: Path) -> None:
    last = msgspec.structs.replace(race(tmp_path, [])[-1], complete=True, packages={"torch": "2.13.0+cpu"})
    text = markdown.render(report.build(last))
    assert "| quick | a | b | 20.00x (20.00 to 20.00) | at least 10x | held |" in text
    assert "| quicker | a | c | 25.00x (25.00 to 25.00) | at least 30x | missed |" in text
    assert "| slow | 20.00 s ±0% | 24 | 0.9500 | 16 |" in text
    assert "torch 2.13.0+cpu" in text
    assert report.sentences(last) == ("quicker misses its bar: 25.00x (25.00 to 25.00), where at least 30x is wanted.",)


def test_bench_report_shows_a_record_of_peers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    race(tmp_path, [])
    assert bench_main(["report", str(tmp_path / "peers.json")]) == 0
    said = capsys.readouterr().out
    assert "The training against its peers" in said
    assert "The run was ended early" in said


def test_rows_that_need_torch_or_more_cores_are_left_out_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    plan = Plan(rows=chosen(()), restarts=1, rounds=1, out=tmp_path / "x.json")
    found = begun(plan, record().backend, cores=1)
    out = {one.row.name: one.why for one in found.results if one.status == "left out"}
    assert [name for name, why in out.items() if "PyTorch isn't installed here; `pip install torch`" in why] == [
        "loop",
        "torch",
        "cold",
    ]
    assert [name for name, why in out.items() if "2 cores are needed, and 1 may be used" in why] == [
        "vmap",
        "data-parallel-wide",
        "data-parallel-tutorial",
        "wide-4096",
        "wide-512",
    ]
    assert any(one.startswith("loop, torch, cold are left out: PyTorch") for one in report.sentences(found))
    assert left_out(ROWS["sklearn"], 1, has_torch=False) == ""
    assert by_reason({"a": "so"}) == ["a is left out: so"]


def test_a_run_that_could_measure_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    plan = Plan(rows=chosen(["loop"]), restarts=1, rounds=1, out=tmp_path / "x.json")
    with pytest.raises(UsageError, match="nothing can be measured: loop is left out: PyTorch isn't installed"):
        begun(plan, record().backend, cores=2)
    left = Peers(**{**msgspec.structs.asdict(race(tmp_path, [])[0]), "results": (Result(ROWS["loop"], "left out"),)})
    assert status(left) == 2


def test_devices_that_one_process_may_hold_are_refused(tmp_path: Path) -> None:
    plan = Plan(rows=chosen(["sklearn"]), restarts=1, rounds=1, out=tmp_path / "x.json")
    with pytest.raises(UsageError, match="one process at a time may hold this tpu; JAX_PLATFORMS=cpu"):
        begun(plan, record(platform="tpu").backend, cores=2)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--only", "lop"], "no row is called 'lop'; did you mean 'loop'?"),
        (["--only", "sklearn", "--restarts", "0"], "restarts must be from 1"),
        (["--only", "sklearn", "--time-limit", "0"], "time limit must be above 0"),
        (["--onyl", "sklearn"], "--only"),
        (["--only", "sklearn", "--out", "x.md"], "end it in .json"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(flags) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Starts a fake contender's process, and ends it."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    alive: list[LiveWorker] = []

    def start(name: str, limit_s: float = 60.0) -> LiveWorker:
        alive.append(LiveWorker(name, limit_s, module="fake_contenders"))
        return alive[-1]

    yield start
    for worker in alive:
        worker.close()


def test_a_worker_trains_when_asked_whatever_it_prints(live: Callable[..., LiveWorker]) -> None:
    worker = live("steady")
    worker.prepare()
    learned = worker.judge()
    assert learned.seeds == 33  # three at a time, 32 at least
    assert learned.accuracy == pytest.approx((6 * 0.8 + 5 * 0.9) / 11)  # from seeds 42, 45, ..., 72
    took = worker.block()
    assert took.seconds >= 0.02
    assert took.trainings % 3 == 0


def test_a_worker_that_dies_says_how_and_what_it_printed_last(live: Callable[..., LiveWorker]) -> None:
    worker = live("dying")
    with pytest.raises(WorkerFailed, match=rf"ended with status 7; it last printed: no more memory for seed {SEED}"):
        worker.prepare()


def test_a_worker_that_hangs_is_not_waited_for(live: Callable[..., LiveWorker]) -> None:
    worker = live("hanging", limit_s=1.0)
    with pytest.raises(WorkerFailed, match="no answer within 1 s"):
        worker.prepare()


def test_what_is_asked_out_of_turn_ends_a_worker_with_a_reason(live: Callable[..., LiveWorker]) -> None:
    with pytest.raises(WorkerFailed, match=r"b'block' can't be asked for now"):
        live("steady").block()


def test_what_takes_less_than_a_block_is_trained_again_within_it() -> None:
    calls: list[int] = []
    quick = Contender(calls.append, lambda _: 0.5, trainings=2)
    took = block(quick, least_s=1e-4)
    assert took.trainings == 2 * len(calls)
    assert took.seconds >= 1e-4
    assert judged(quick) == Learned(0.5, SEEDS)
    assert calls[-SEEDS // 2 :] == [SEED + 2 * i for i in range(SEEDS // 2)]


def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    (tmp_path / "fake_process.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_a_process_from_cold_has_no_compilation_cache_and_is_over_when_it_exits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    code = "import os\nprint('Accuracy on the test set:', 0.5 if 'JAX_COMPILATION_CACHE_DIR' in os.environ else 0.995)"
    process(tmp_path, monkeypatch, code)
    cold = Cold(("fake_process",), 60.0)
    cold.prepare()
    assert cold.judge() == Learned(0.995, 1)
    took = cold.block()
    assert took.trainings == 1
    assert took.seconds > 0


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('no data')", "ended with status 1; it last printed: no data"),
        ("import time\nprint('so far', flush=True)\ntime.sleep(600)", "no end within 3 s; it last printed: so far"),
        ("print('done')", "nothing of its accuracy"),
    ],
)
def test_a_process_from_cold_that_fails_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    process(tmp_path, monkeypatch, code)
    with pytest.raises(WorkerFailed, match=said):
        Cold(("fake_process",), 3.0).judge()


def test_every_row_has_contenders_that_there_are_or_a_case() -> None:
    from bench.peers.contenders import CONTENDERS

    for row in ROWS.values():
        if row.how == "live":
            assert {row.ours, row.theirs} <= CONTENDERS.keys()
        elif row.how == "cold":
            assert {row.ours, row.theirs} <= COLD.keys()
        else:
            assert row.case is not None
            assert row.case.devices == row.cores == 2


DATA_PARALLEL = case("data_parallel", 2)
PARTS = dataclasses.replace(ROWS["data-parallel-tutorial"], case=DATA_PARALLEL)
TIMES: dict[Any, float] = {"latency": 3e-4, "fused": 2.08e-4, "compute": 1e-4, "collectives": 1e-4}


def test_a_step_over_its_parts_is_of_a_record_of_run_with_its_collectives() -> None:
    one = taken_apart(case("single"), {"latency": 2e-4, "fused": 1.5e-4}, reducing(1, 0))
    two = taken_apart(DATA_PARALLEL, TIMES, reducing(2, 208))
    found = scaled.result(PARTS, record(one, two, parts=True), "x.tutorial.json")
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(1.04)
    assert found.collectives == {"all-reduce": 1}
    assert found.kept
    twice = msgspec.structs.replace(found, collectives={"all-reduce": 2})
    assert not twice.kept
    last = Peers(**{**msgspec.structs.asdict(begun_with(twice)), "complete": True})
    assert report.sentences(last)[0] == (
        "data-parallel-tutorial misses its bar: 1.040x (1.040 to 1.040), its compiled step with 2 all-reduce, where "
        "at most 1.05x and 1 all-reduce is wanted."
    )


def begun_with(*results: Result) -> Peers:
    plan = Plan(rows=(ROWS["sklearn"],), restarts=1, rounds=1, out=Path("x.json"))
    return msgspec.structs.replace(begun(plan, record().backend, cores=2), results=results)


def test_a_speed_up_is_that_of_strong_scaling() -> None:
    row = dataclasses.replace(PARTS, how="scaling", bar=1.6, at_most=False)
    one, two = measured(case("single"), [[1.9e-4] * 3] * 2), measured(DATA_PARALLEL, [[1e-4] * 3] * 2)
    found = scaled.result(row, record(one, two), "x.tutorial.json")
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(1.9)
    assert found.collectives is None
    assert scaled.result(row, record(two), "x").why == "what it is held against was not measured"
    broke = msgspec.structs.replace(two, status="broken", why="wrong results")
    assert scaled.result(row, record(one, broke), "x").why == "wrong results"


def test_rows_of_one_workload_are_one_run_with_parts(tmp_path: Path) -> None:
    rows = [ROWS[name] for name in ("data-parallel-wide", "wide-4096", "wide-512")]
    plan = scaled.plan(rows, 4, 2, tmp_path / "x.wide.json", 60.0)
    assert plan.selection.batch == (512, 4096)
    assert plan.selection.scaling == ("strong",)
    assert plan.schedule == Schedule(restarts=4, rounds=2, budget_s=480.0, parts=True)


@pytest.mark.usefixtures("compiled_once")
def test_our_contenders_and_the_plain_ones_train_the_same_members() -> None:
    config = preset("tutorial", epochs=2)
    made = [ours.ours(config, 3), ours.vmapped(config, 3), ours.one_by_one(config, 3)]
    trained = [contender.train(7) for contender in made]
    assert [contender.trainings for contender in made] == [3, 3, 3]
    expected = [ours.ours(config, 1).train(7 + member) for member in range(3)]
    losses = [float(metrics.loss[-1]) for _, metrics in expected]
    for contender, (state, metrics) in zip(made, trained, strict=True):
        assert np.asarray(metrics.loss)[:3, -1].tolist() == pytest.approx(losses, rel=1e-3)
        assert 0.5 < contender.accuracy((state, metrics)) <= 1.0


def test_our_lone_training_ends_where_the_tutorial_does() -> None:
    contender = ours.ours(TUTORIAL, 1)
    state, metrics = contender.train(TUTORIAL.seed)
    assert f"{float(metrics.loss[-1]):.4f}" == f"{GOLDEN['epochs'][-1]['last_batch_loss']:.4f}"
    assert contender.accuracy((state, metrics)) == pytest.approx(GOLDEN["test_accuracy"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_scikit_learn_fits_the_tutorials_network_for_all_epochs_in_float32(jobs: int) -> None:
    contender = others.scikit_learn(preset("tutorial", epochs=1), fits=2, jobs=jobs)
    models = contender.train(3)
    assert contender.trainings == len(models) == 2
    assert [model.n_iter_ for model in models] == [1, 1]
    assert [coefficients.shape for coefficients in models[0].coefs_] == [(2, 10), (10, 1)]
    assert models[0].coefs_[0].dtype == np.float32
    assert [model.random_state for model in models] == [3, 4]
    assert 0.0 < contender.accuracy(models) <= 1.0


def test_torch_trains_the_tutorials_network() -> None:
    torch: Any = pytest.importorskip("torch")
    contender = others.eager_torch(preset("tutorial", epochs=1))
    trained = contender.train(42)
    assert [tuple(p.shape) for p in trained.parameters()] == [(10, 2), (10,), (2, 10), (2,)]
    torch.manual_seed(42)
    assert not torch.equal(torch.nn.Linear(2, 10).weight, trained[0].weight)
    assert 0.3 < contender.accuracy(trained) <= 1.0


def test_the_tutorials_loop_prints_its_lines_and_has_our_losses(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    from bench.peers import tutorial_script as script

    losses: list[float] = []
    with train.threefry(TUTORIAL):
        state = script.train_model(script.created(), script.loaders()[0], 3)
        script.train_model(script.created(), script.loaders()[0], 3, lambda _, loss, __: losses.append(float(loss)))
        program = ours.fastest(TUTORIAL, ours.by_name("single"), ours.Layout())
        epochs = fit.epochs(program, TUTORIAL.seed, train.training_batches(TUTORIAL), 3)
        assert losses == pytest.approx([float(metrics.loss[0]) for _, metrics in epochs], rel=1e-5)
    assert capsys.readouterr().out.splitlines() == [
        f"step: {g['epoch']:03d}, loss: {g['last_batch_loss']:.4f}, accuracy: {g['last_batch_accuracy']:.4f}"
        for g in GOLDEN["epochs"][:3]
    ]
    assert jax.tree.leaves(state.params)[0].dtype == np.float32
    contender = others.tutorial_loop(preset("tutorial", epochs=1))
    assert 0.3 < contender.accuracy(contender.train(42)) <= 1.0


def test_a_row_is_measured_from_the_command_to_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "peers.json"
    left = main(["--only", "sklearn", "--restarts", "1", "--rounds", "2", "--out", str(out)])
    found = records.read(out)
    assert left == status(found)
    assert left in (0, 1)  # as fast as the machine lets it be
    assert found.complete
    assert found.results[0].status == "measured"
    assert out.with_suffix(".md").read_text(encoding="utf-8").startswith("# The training against its peers\n")
    assert "scikit-learn" in capsys.readouterr().out
