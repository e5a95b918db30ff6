"""What is held against what, as values: the rows of the table, and the bars that they have to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.cases import Case
from bench.environment import CAN_PIN
from toynet.errors import unknown

How = Literal["live", "cold", "parts", "scaling"]
"""live: trainings of live processes, asked in turn. cold: whole processes, started in turn. parts, scaling: of a
record of `bench run`, a step over its compute and its collectives, and the speed-up over one device."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One ratio: times of theirs over times of ours, but for `parts`, where it is our step over its parts."""

    name: str
    work: str
    against: str
    how: How
    bar: float | None
    """What the ratio has to reach; None: it is shown only."""
    at_most: bool = False
    """Whether the ratio must not be above the bar, instead of below."""
    ours: str = ""
    theirs: str = ""
    """Contenders, of `live` and `cold`."""
    case: Case | None = None
    """Of `parts` and `scaling`."""
    tolerance: float = 0.05
    """By which test accuracies may differ; first weights and roundings aren't alike everywhere."""
    needs_torch: bool = False
    cores: int = 1
    """Without so many the row is left out."""
    round_s: float = 1.0
    """Roughly what a round of it takes on two cores, to tell how much time is left."""

    def kept(self, ratio: float) -> bool:
        """Whether that ratio will do."""
        return self.bar is None or (ratio <= self.bar if self.at_most else ratio >= self.bar)


TUTORIAL = "tutorial, 100 epochs, compiled"
MEMBERS = "512 members, all 100 epochs"


def _data_parallel(workload: str, batch: int) -> Case:
    return Case(workload=workload, mode="data_parallel", data_shards=2, batch=batch)


ROWS = {
    row.name: row
    for row in (
        Row(
            name="loop",
            work=TUTORIAL,
            against="the tutorial's own loop (jitted step, its DataLoader)",
            how="live",
            bar=40,
            ours="ours-1",
            theirs="tutorial-loop",
            needs_torch=True,
        ),
        Row(
            name="sklearn",
            work=TUTORIAL,
            against="scikit-learn's MLPClassifier, same sizes and epochs",
            how="live",
            bar=20,
            ours="ours-1",
            theirs="sklearn",
        ),
        Row(
            name="torch",
            work=TUTORIAL,
            against="eager PyTorch, same net, one thread",
            how="live",
            bar=60,
            ours="ours-1",
            theirs="torch",
            needs_torch=True,
        ),
        Row(
            name="cold",
            work="tutorial, the whole process from cold",
            against="the tutorial's script as a process, without plots",
            how="cold",
            bar=2,
            ours="ours-process",
            theirs="tutorial-process",
            needs_torch=True,
            round_s=12,
        ),
        Row(
            name="one-by-one",
            work=MEMBERS,
            against="the same one after another, plain steps fused (lax.map)",
            how="live",
            bar=6,
            ours="ours-512",
            theirs="one-by-one-512",
            tolerance=0.005,
            round_s=8,
        ),
        Row(
            name="sklearn-512",
            work=MEMBERS,
            against="scikit-learn, 512 fits (16 a block; the ratio is per fit)",
            how="live",
            bar=100,
            ours="ours-512",
            theirs="sklearn-16",
            round_s=3,
        ),
        Row(
            name="sklearn-512-all-cores",
            work=MEMBERS,
            against="the same by joblib on all cores (n_jobs=-1)",
            how="live",
            bar=None,
            ours="ours-512",
            theirs="sklearn-16-joblib",
            round_s=2,
        ),
        Row(
            name="vmap",
            work="4,096 members, 10 epochs",
            against="plain jit(vmap) of the step, fused, all cores",
            how="live",
            bar=5,
            ours="ours-4096",
            theirs="vmap-4096",
            tolerance=0.005,
            cores=2,
            round_s=5,
        ),
        Row(
            name="data-parallel-wide",
            work="wide, data-parallel step, batch 512",
            against="its compute plus its one all-reduce",
            how="parts",
            bar=1.05,
            at_most=True,
            case=_data_parallel("wide", 512),
            cores=2,
        ),
        Row(
            name="data-parallel-tutorial",
            work="tutorial, data-parallel step, batch 32",
            against="its compute plus its one all-reduce",
            how="parts",
            bar=1.05,
            at_most=True,
            case=_data_parallel("tutorial", 32),
            cores=2,
        ),
        Row(
            name="wide-4096",
            work="wide, batch 4,096, 2 devices on 2 cores",
            against="the same, 1 device on 1 core",
            how="scaling",
            bar=1.9,
            case=_data_parallel("wide", 4096),
            cores=2,
        ),
        Row(
            name="wide-512",
            work="wide, batch 512, 2 devices on 2 cores",
            against="the same, 1 device on 1 core",
            how="scaling",
            bar=1.6,
            case=_data_parallel("wide", 512),
            cores=2,
        ),
    )
}


def chosen(names: Sequence[str]) -> tuple[Row, ...]:
    """The rows of those names, all if there are none; raises UsageError, with the nearest, for one that isn't."""
    for name in names:
        if name not in ROWS:
            raise unknown("row", name, ROWS)
    return tuple(row for row in ROWS.values() if not names or row.name in names)


def left_out(row: Row, cores: int, *, has_torch: bool) -> str:
    """Why the row can't be measured here and what to do about it; empty if it can."""
    if row.needs_torch and not has_torch:
        return (
            "PyTorch isn't installed here; `pip install torch` (2.9 or newer) puts it into this environment, from the "
            "index that PyTorch names for its CPU build"
        )
    if row.how == "scaling" and not CAN_PIN:
        return "this system can't keep a device on a core of its own; run it on Linux"
    if cores < row.cores:
        return f"{row.cores} cores are needed, and {cores} may be used here; run it where there are more"
    return ""


def by_reason(reasons: Mapping[str, str]) -> list[str]:
    """Reasons by rows' names, each said once: `loop, torch are left out: ...`."""
    names = {why: [name for name, its in reasons.items() if its == why] for why in reasons.values()}
    return [f"{', '.join(some)} {'is' if len(some) == 1 else 'are'} left out: {why}" for why, some in names.items()]
