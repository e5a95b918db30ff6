"""Arithmetic of a traced program, loops by their iterations; XLA's own analysis counts their bodies once."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# One operation for each element of the result, on integers and truth values too: as XLA counts them.
_ARITHMETIC = {"add", "add_any", "sub", "mul", "div", "rem", "max", "min", "neg", "abs", "sign", "square", "clamp"}
_COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge", "is_finite", "select_n"}
_ROUNDING = {"floor", "ceil", "round", "convert_element_type", "reduce_precision"}
_BITS = {"and", "or", "xor", "not", "shift_left", "shift_right_arithmetic", "shift_right_logical", "population_count"}
_RUNNING = {"cumsum", "cumprod", "cummax", "cummin"}
_OVER_DEVICES = {"psum", "psum_invariant", "pmax", "pmin"}
_COLLECTIVES = _OVER_DEVICES | {"all_gather", "all_gather_invariant", "reduce_scatter", "all_to_all", "ppermute"}
_ELEMENTWISE = _ARITHMETIC | _COMPARISONS | _ROUNDING | _BITS | _RUNNING | _OVER_DEVICES
# So many for each element that a reduction removes. The last two compare values, then indices (measured: jax 0.10).
_REDUCTIONS = {f"reduce_{name}": 1 for name in ("sum", "prod", "max", "min", "and", "or", "xor")}
_REDUCTIONS |= {"argmax": 9, "argmin": 9}
_SCATTERS = frozenset({"scatter_add", "scatter_sub", "scatter_mul", "scatter_min", "scatter_max"})
# XLA doesn't look into these either.
_OPAQUE = frozenset({"pallas_call"})


@dataclass(frozen=True)
class Flops:
    """Operations on one device."""

    products: int = 0
    """Of `dot_general` and convolutions, a multiplication and an addition apart."""
    others: int = 0
    """Elementwise and of reductions. Transcendental functions, which XLA counts apart, are not among them, nor is
    what XLA computes twice; so this is near its count, not equal to it."""
    unknown_loops: int = 0
    """Loops whose number of iterations isn't known before they run: their bodies are counted once."""

    @property
    def total(self) -> int:
        return self.products + self.others

    def __add__(self, other: Flops) -> Flops:
        loops = self.unknown_loops + other.unknown_loops
        return Flops(self.products + other.products, self.others + other.others, loops)

    def times(self, n: int) -> Flops:
        """The same so many times over; the loops in the program stay as many."""
        return Flops(n * self.products, n * self.others, self.unknown_loops)


def counted(jaxpr: Any, *, loops: bool) -> Flops:
    """What a program does that was traced to a (closed) jaxpr, such as `jax.jit(f).trace(*args).jaxpr`.

    With `loops` a body counts as often as it runs, without as often as it stands in what XLA is given. Of
    branches the dearest counts. Within shard_map shapes, and so counts, are those of one device; a program
    that XLA itself divides over devices is counted whole. What nothing depends on isn't counted, since XLA
    removes it; what is computed again (`jax.checkpoint`) is.
    """
    return _body(jaxpr, loops, None)


def equations(jaxpr: Any) -> Iterator[Any]:
    """Every equation of a jaxpr, those within others too."""
    for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        yield eqn
        yield from _within(eqn)


def loops_with_collectives(jaxpr: Any) -> bool:
    """Whether devices communicate in the body of a loop: the compiled program names such collectives once."""
    return any(
        eqn.primitive.name in ("scan", "while") and any(inner.primitive.name in _COLLECTIVES for inner in _within(eqn))
        for eqn in equations(jaxpr)
    )


def product_dtype(jaxpr: Any) -> str | None:
    """What most of the products' operations are on; None: there are no products."""
    found: Counter[str] = Counter()
    for eqn in equations(jaxpr):
        if products := _products(eqn):
            found[str(eqn.invars[0].aval.dtype)] += products
    return found.most_common(1)[0][0] if found else None


def factor_dtypes(jaxpr: Any) -> set[str]:
    """What products have as factors."""
    return {str(factor.aval.dtype) for eqn in equations(jaxpr) if _products(eqn) for factor in eqn.invars}


def _within(eqn: Any) -> Iterator[Any]:
    """Every equation within one."""
    for value in eqn.params.values():
        for inner in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                yield from equations(inner)


def _body(jaxpr: Any, loops: bool, used: Sequence[bool] | None) -> Flops:
    return sum((_equation(eqn, loops, mask) for eqn, mask in _live(getattr(jaxpr, "jaxpr", jaxpr), used)), Flops())


def _live(jaxpr: Any, used: Sequence[bool] | None) -> Iterator[tuple[Any, list[bool]]]:
    """The equations that results depend on, last first, with those of their own results that are used."""
    if used is None or len(used) != len(jaxpr.outvars):
        used = [True] * len(jaxpr.outvars)
    # Variables are told apart by identity.
    needed = {id(var) for var, is_used in zip(jaxpr.outvars, used, strict=True) if is_used}
    for eqn in reversed(jaxpr.eqns):
        mask = [id(var) in needed for var in eqn.outvars]
        if eqn.effects or any(mask):
            needed.update(id(var) for var in eqn.invars)
            yield eqn, mask


def _equation(eqn: Any, loops: bool, used: Sequence[bool]) -> Flops:
    name, params = eqn.primitive.name, eqn.params
    if name in _OPAQUE:
        return Flops()
    if name == "scan":
        iterations = params["length"] if loops else _copies(params["length"], params["unroll"])
        return _body(params["jaxpr"], loops, None).times(iterations)
    if name == "while":
        once = _body(params["cond_jaxpr"], loops, None) + _body(params["body_jaxpr"], loops, None)
        return once + Flops(unknown_loops=1)
    if name == "cond":
        return _dearest([_body(branch, loops, used) for branch in params["branches"]])
    if name == "reduce":
        return _body(params["jaxpr"], loops, None).times(_removed(eqn))
    if name == "custom_linear_solve":
        return _body(params["jaxprs"].solve, loops, None)
    for key in ("jaxpr", "call_jaxpr"):  # jit, closed_call, checkpoint, shard_map; custom_jvp_call, custom_vjp_call
        if hasattr(params.get(key), "eqns"):
            return _body(params[key], loops, used)
    return Flops(products=_products(eqn), others=_others(eqn))


def _copies(length: int, unroll: int) -> int:
    """How often the body of a scan stands in its program: the unrolled iterations, and those that are left over."""
    unroll = unroll or max(length, 1)
    blocks, rest = divmod(length, unroll)
    return unroll * min(blocks, 1) + rest


def _dearest(branches: Sequence[Flops]) -> Flops:
    dearest = max(branches, key=lambda branch: branch.total)
    return dataclasses.replace(dearest, unknown_loops=max(branch.unknown_loops for branch in branches))


def _products(eqn: Any) -> int:
    if eqn.primitive.name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        lhs = eqn.invars[0].aval.shape
        return 2 * _size(eqn.outvars[0]) * math.prod(lhs[axis] for axis in contracted)
    if eqn.primitive.name == "conv_general_dilated":
        return _convolution(eqn)
    return 0


def _convolution(eqn: Any) -> int:
    """As XLA counts: products with padding, and with the zeros that dilation puts in, are none."""
    lhs, rhs, out = (var.aval.shape for var in (*eqn.invars, *eqn.outvars))
    axes = eqn.params["dimension_numbers"]  # each: batch or output feature, then (input) feature, then space
    touched = [
        _touched(lhs[i], rhs[k], out[o], *window)
        for i, k, o, *window in zip(
            axes.lhs_spec[2:],
            axes.rhs_spec[2:],
            axes.out_spec[2:],
            eqn.params["padding"],
            eqn.params["window_strides"],
            eqn.params["lhs_dilation"],
            eqn.params["rhs_dilation"],
            strict=True,
        )
    ]
    batch, features = out[axes.out_spec[0]], out[axes.out_spec[1]]
    return 2 * batch * features * rhs[axes.rhs_spec[1]] * math.prod(touched)


def _touched(
    size: int, kernel: int, out: int, padding: tuple[int, int], stride: int, lhs_dilation: int, rhs_dilation: int
) -> int:
    """Pairs of an output and a kernel position, along one axis, that meet an entry of the input."""
    position = np.arange(out)[:, None] * stride + np.arange(kernel) * rhs_dilation - padding[0]
    entry, between = np.divmod(position, lhs_dilation)
    return int(np.count_nonzero((between == 0) & (entry >= 0) & (entry < size)))


def _others(eqn: Any) -> int:
    name = eqn.primitive.name.replace("-", "_")
    results = sum(_size(var) for var in eqn.outvars)
    if name in _ELEMENTWISE:
        return results
    if name in _REDUCTIONS:
        return _REDUCTIONS[name] * _removed(eqn)
    if name in _SCATTERS:
        return _size(eqn.invars[2])  # the updates
    if name == "integer_pow":
        return results * _multiplications(eqn.params["y"])
    return 0


def _removed(eqn: Any) -> int:
    """Elements that a reduction removes."""
    return _size(eqn.invars[0]) - _size(eqn.outvars[0])


def _multiplications(power: int) -> int:
    """By squaring; of a negative power the inverse is taken as well."""
    n = abs(power)
    return max(n.bit_length() + n.bit_count() - 2, 0) + (power < 0)


def _size(var: Any) -> int:
    return math.prod(var.aval.shape)
