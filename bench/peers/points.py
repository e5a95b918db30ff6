"""Sizes around each switch between paths, and whether the path chosen there is the quicker one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.peers.contender import Contender
from bench.peers.rows import Row
from toynet import paths
from toynet.config import Config
from toynet.modes import MODES, Layout, Mode
from toynet.paths import PLAIN, Path

if TYPE_CHECKING:
    from bench.peers.record import Result

# As many times as long as the better one the chosen path may take.
REGRET_AT_MOST = 1.1
# So many that drawing the first weights, which is timed as well, is little beside them.
LONE_EPOCHS, ENSEMBLE_EPOCHS = 200, 20


@dataclass(frozen=True, kw_only=True)
class Point:
    """One size of a walk through a switch."""

    walk: str
    value: int
    config: Config
    members: int = 1

    @property
    def name(self) -> str:
        return f"{self.walk.replace(' ', '-')}-{self.value}"

    @property
    def mode(self) -> Mode:
        return MODES["ensemble" if self.members > 1 else "single"]

    @property
    def layout(self) -> Layout:
        return Layout(members=self.members, batch=self.config.batch_size)

    @property
    def chosen(self) -> Path:
        """The path that a user gets on a CPU."""
        return paths.choose(self.config, self.mode, self.layout, "cpu")

    @property
    def row(self) -> Row:
        """What is measured: how many times as long the plain path takes as the other one."""
        ours, theirs = (f"{self.name}/{which}" for which in ("other", "plain"))
        other = paths.alternative(self.config, self.mode, self.layout).name
        return Row(name=self.name, work=other, against="plain", how="live", bar=None, ours=ours, theirs=theirs)

    def contender(self, path: Path) -> Contender:
        """All epochs in one program, on that path."""
        from bench.peers.ours import trained_by
        from toynet.program import bind
        from toynet.train import workload

        config = dataclasses.replace(self.config, epochs=LONE_EPOCHS if self.members == 1 else ENSEMBLE_EPOCHS)
        program = bind(workload("tutorial", config, path), self.mode, self.layout)
        return trained_by(config, program, program.epoch)


POINTS = {
    point.name: point
    for point in (
        *(Point(walk="width", value=n, config=Config(hidden_dim=n)) for n in (10, 24, 32, 48, 64, 128)),
        *(Point(walk="depth", value=n, config=Config(hidden_layers=n)) for n in (1, 2, 3, 4)),
        *(
            Point(walk="batch at width 64", value=n, config=Config(hidden_dim=64, batch_size=n))
            for n in (8, 16, 24, 32, 48, 128)
        ),
        *(Point(walk="members", value=n, config=Config(), members=n) for n in (2, 4, 6, 8, 12, 16)),
        *(
            Point(walk="width of 64 members", value=n, config=Config(hidden_layers=2, hidden_dim=n), members=64)
            for n in (10, 16, 22, 24, 25, 28, 40)
        ),
        *(Point(walk="batch", value=n, config=Config(batch_size=n)) for n in (8, 32, 128, 800)),
        # No switch lies on these: what is chosen on their way has to win all along.
        *(
            Point(walk="batch of 64 members", value=n, config=Config(batch_size=n), members=64)
            for n in (8, 31, 200, 800)
        ),
        *(Point(walk="members in blocks", value=n, config=Config(), members=n) for n in (129, 512)),
    )
}


def contenders() -> dict[str, Callable[[], Contender]]:
    """Both paths of every point, by the names that rows have for them."""
    found: dict[str, Callable[[], Contender]] = {}
    for point in POINTS.values():
        other = paths.alternative(point.config, point.mode, point.layout)
        found[point.row.theirs] = functools.partial(point.contender, PLAIN)
        found[point.row.ours] = functools.partial(point.contender, other)
    return found


def regret(result: Result) -> float | None:
    """How many times as long as the better path the one chosen takes; None if it wasn't measured."""
    if result.ratio is None:
        return None
    gain = result.ratio.value
    return max(gain, 1.0) if POINTS[result.row.name].chosen.plain else max(1 / gain, 1.0)
