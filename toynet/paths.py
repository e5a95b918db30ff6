"""How a step is computed: plainly, or in the way that is quickest at its sizes. Imports no JAX.

Every path computes the same numbers but for roundings. Which is quickest was measured (`python -m bench.peers
switches`; docs/performance.md has what else was tried), on CPUs only: elsewhere the plain one is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from toynet.config import Config, Product
from toynet.modes import Layout, Mode

# A lone member's products of so few multiplications (batch x in x out) take less time than the call of a matrix
# product.
BROADCAST_AT_MOST = 2**14
# From so many members on a device, of so few parameters each, lanes that are filled by members win.
LANES_AT_LEAST = 8
LANES_PARAMETERS_AT_MOST = 4096
# Members in a block, so that what a block's step holds fits a core's caches, and fills whole registers.
BLOCK_AT_MOST = 128
LANES = 16
# Examples whose gradients are summed at a time, in registers.
CHUNK = 4


@dataclass(frozen=True, kw_only=True)
class Path:
    """One way of computing a step, and why it was chosen."""

    product: Product = "dot"
    block: int = 0
    """0: members are stepped by vmap, who leads every array with them. n: n at a time, at the end of every array."""
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
    members = layout.padded_members // layout.member_shards
    if mode.ensemble:
        return _of_members(config, members, layout)
    largest = _largest_product(config, layout)
    if largest > BROADCAST_AT_MOST:
        return Path(why=f"its largest product, of {largest} multiplications, is worth a matrix product's call")
    return Path(
        product="broadcast",
        why=f"its largest product, of {largest} multiplications, takes less than a matrix product's call",
    )


def member_shards(members: int, cores: int) -> int:
    """Devices of a CPU that members are best divided over: as many as it has cores, if each gets its fill of lanes."""
    return max(1, min(cores, members // LANES_AT_LEAST))


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


def _of_members(config: Config, members: int, layout: Layout) -> Path:
    if members < LANES_AT_LEAST:
        return Path(why=f"{members} members on a device fill too few lanes")
    if config.parameters > LANES_PARAMETERS_AT_MOST:
        return Path(why=f"a member's products are worth a call, with its {config.parameters} parameters")
    blocks = math.ceil(members / BLOCK_AT_MOST)
    block = math.ceil(members / blocks)
    batch = layout.padded_batch() // layout.data_shards
    return Path(
        block=block,
        chunk=max(n for n in range(1, CHUNK + 1) if batch % n == 0),
        why=f"{members} members on a device, of {config.parameters} parameters each, fill vector lanes in "
        f"{blocks} {'block' if blocks == 1 else 'blocks'}",
    )


def _largest_product(config: Config, layout: Layout) -> int:
    weights = max(math.prod(shape) for shape in config.shapes)
    return weights * layout.padded_batch() // layout.data_shards
