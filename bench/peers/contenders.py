"""The contenders that train in live processes, by the names that rows have for them."""

from __future__ import annotations

from collections.abc import Callable

from bench.peers import others, ours, points
from bench.peers.contender import Contender
from toynet.config import PRESETS, preset

TUTORIAL = PRESETS["tutorial"]
# Of scikit-learn's in a block: all 512 would take a minute and a half.
FITS = 16
# Of thousands of members all epochs would take jit(vmap) more than half a minute.
SHORT = preset("tutorial", epochs=10)

CONTENDERS: dict[str, Callable[[], Contender]] = {
    "ours-1": lambda: ours.ours(TUTORIAL, 1),
    "ours-512": lambda: ours.ours(TUTORIAL, 512),
    "ours-4096": lambda: ours.ours(SHORT, 4096),
    "one-by-one-512": lambda: ours.one_by_one(TUTORIAL, 512),
    "vmap-4096": lambda: ours.vmapped(SHORT, 4096),
    "tutorial-loop": lambda: others.tutorial_loop(TUTORIAL),
    "sklearn": lambda: others.scikit_learn(TUTORIAL),
    "sklearn-16": lambda: others.scikit_learn(TUTORIAL, FITS),
    "sklearn-16-joblib": lambda: others.scikit_learn(TUTORIAL, FITS, jobs=-1),
    "torch": lambda: others.eager_torch(TUTORIAL),
    **points.contenders(),
}
