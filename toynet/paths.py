"""How a step is computed: plainly, or in the way that is quickest at its sizes. Imports no JAX.

Every path computes the same numbers but for roundings. Which is quickest was measured on CPUs, and elsewhere
the plain one is taken (`python -m bench.peers.switches`; docs/performance.md has what else was tried).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from toynet.config import Config, Product
from toynet.modes import Layout, Mode
from toynet.xla import MAX_SIMULATED

# So few multiplications, of all layers for a whole batch, take less time than the calls of matrix products. From 33 to
# 128 examples so many weights do, too: what XLA makes of sums over 32 examples is slower than of sums over some more.
BROADCAST_MULTIPLICATIONS = 6144
SLOW_BATCH = 32
BROADCAST_WEIGHTS = 256
BROADCAST_BATCH = 128
# From so many members on a device, whose largest layer has so few weights, lanes that members fill win.
LANES_AT_LEAST = 8
LANES_WEIGHTS = 576
# Members in a block, so that what a block's step holds fits a core's caches.
BLOCK_AT_MOST = 128
# Examples whose gradients are summed at a time.
CHUNK = 8


@dataclass(frozen=True, kw_only=True)
class Path:
    """One way of computing a step, and why it was chosen."""

    product: Product = "dot"
    block: int = 0
    """0: members are stepped by vmap, and come first in every array. n: n of them at a time, last in every array."""
    chunk: int = 0
    """Where members are in the last axis: examples whose gradients are summed at a time."""
    why: str = "the plain way was asked for"

    @property
    def name(self) -> str:
        """In a word or two."""
        if self.block:
            return f"lanes, {self.block} members in a block and {self.chunk} examples at a time"
        return self.product if self.product != "dot" else "plain"

    @property
    def plain(self) -> bool:
        """Whether nothing differs from the plain way."""
        return self.product == "dot" and not self.block


PLAIN = Path()


def choose(config: Config, mode: Mode, layout: Layout, platform: str) -> Path:
    """The quickest path of a mode at those sizes, on a platform of JAX (`cpu`, `gpu`, `tpu`)."""
    if why := _why_plain(config, mode, platform):
        return Path(why=why)
    other = alternative(config, mode, layout)
    quicker, why = _lanes_win(config, layout) if mode.ensemble else _broadcast_wins(config, layout)
    return dataclasses.replace(other if quicker else PLAIN, why=why)


def alternative(config: Config, mode: Mode, layout: Layout) -> Path:
    """What `choose` chooses from, besides the plain path."""
    if not mode.ensemble:
        return Path(product="broadcast")
    members = _members(layout)
    batch = layout.padded_batch() // layout.data_shards
    return Path(
        block=math.ceil(members / math.ceil(members / BLOCK_AT_MOST)),
        chunk=min(CHUNK, batch),
    )


def member_shards(members: int, cores: int) -> int:
    """Devices of a CPU that members are best divided over: as many as it has cores, if each gets its fill of lanes."""
    return max(1, min(cores, MAX_SIMULATED, members // LANES_AT_LEAST))


def _why_plain(config: Config, mode: Mode, platform: str) -> str:
    if platform != "cpu":
        return f"faster paths were measured on CPUs only, and this is {platform}"
    if config.virtual_shards:
        return "sums in a fixed order are made in one way only"
    if config.products != config.dtype:
        return f"its products are of {config.products}"
    if mode.shards_state:
        return f"{mode.name} takes its step apart"
    return ""


def _lanes_win(config: Config, layout: Layout) -> tuple[bool, str]:
    members, largest = _members(layout), max(_weights(config))
    if layout.data_shards > 1:
        return False, "blocks of members would each have a collective, where there is one for all"
    if members < LANES_AT_LEAST:
        return False, f"of members in vector lanes it takes {LANES_AT_LEAST} on a device, and there are {members}"
    if largest > LANES_WEIGHTS:
        return False, f"its largest layer, of {largest} weights, is worth a matrix product's call"
    return True, f"{members} members on a device, whose largest layer has {largest} weights, fill vector lanes"


def _broadcast_wins(config: Config, layout: Layout) -> tuple[bool, str]:
    weights, batch = sum(_weights(config)), layout.padded_batch() // layout.data_shards
    layers = f"its layers, of {weights} weights for {batch} examples on a device,"
    more = SLOW_BATCH < batch <= BROADCAST_BATCH and weights <= BROADCAST_WEIGHTS
    if more or weights * batch <= BROADCAST_MULTIPLICATIONS:
        return True, f"{layers} multiply in less time than the calls of matrix products take"
    return False, f"{layers} are worth the calls of matrix products"


def _members(layout: Layout) -> int:
    return layout.padded_members // layout.member_shards


def _weights(config: Config) -> list[int]:
    """Of each layer, without its biases."""
    return [math.prod(shape) for shape in config.shapes if len(shape) > 1]
