"""Follows through a traced program what its values are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.lint.jaxprs import jaxprs_within, where

# What is the same on all devices once they have communicated.
_EQUALISING = ("psum", "pmax", "pmin", "all_gather")


@dataclass(frozen=True)
class Label:
    """What a value is made of."""

    of: Literal["part", "device", "positions", "draw"]
    """part: it differs from device to device; device: the index of one; positions: 0, 1, 2, ...; draw: random numbers,
    one for each example that a device has."""
    at: str = ""
    """Where in the user's code it was drawn."""


Labels = frozenset[Label]
NONE: Labels = frozenset()
PART, DEVICE, POSITIONS = Label("part"), Label("device"), Label("positions")


class Flow:
    """Follows the labels of values through a step that each device of an axis runs on its part of a batch."""

    def __init__(self, axis: str, examples: int) -> None:
        """`examples`: of one device."""
        self._axis = axis
        self._examples = examples
        self.shared: dict[str, None] = {}
        """Where random numbers are drawn that meet what differs from device to device, and don't themselves."""
        self.counted: dict[str, None] = {}
        """Where a key is made of a device's index, and not of its examples' positions."""

    def follow(self, jaxpr: Any, divided: int) -> None:
        """Of a closed jaxpr whose last inputs, so many, are divided over the axis."""
        whole = len(jaxpr.jaxpr.invars) - divided
        self._body(jaxpr, [NONE] * whole + [frozenset({PART})] * divided)

    def _body(self, jaxpr: Any, given: Sequence[Labels], at: str = "") -> list[Labels]:
        """The labels of what comes out of a jaxpr, which is called in that line."""
        jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
        known = dict(zip(map(id, jaxpr.invars), given, strict=True))
        for eqn in jaxpr.eqns:
            made = self._equation(eqn, [known.get(id(var), NONE) for var in eqn.invars], where(eqn) or at)
            known |= dict(zip(map(id, eqn.outvars), made, strict=True))
        return [known.get(id(var), NONE) for var in jaxpr.outvars]

    def _equation(self, eqn: Any, given: list[Labels], at: str) -> list[Labels]:
        name, params = eqn.primitive.name, eqn.params
        if name == "scan":
            return self._scan(eqn, given, at)
        if name == "while":
            return self._while(params, given, at)
        if name == "cond":
            of_branches = [self._body(branch, given[1:], at) for branch in params["branches"]]
            return [frozenset.union(*of_each) for of_each in zip(*of_branches, strict=True)]
        inner = [one for one in jaxprs_within(eqn) if len(getattr(one, "jaxpr", one).invars) == len(given)]
        if inner and len(getattr(inner[0], "jaxpr", inner[0]).outvars) == len(eqn.outvars):
            return self._body(inner[0], given, at)
        return [self._operation(eqn, given, at)] * len(eqn.outvars)

    def _scan(self, eqn: Any, given: list[Labels], at: str) -> list[Labels]:
        """What isn't sliced is carried or constant: by its shape, for what names it differs from version to version."""
        body = eqn.params["jaxpr"].jaxpr
        whole = sum(map(_alike, eqn.invars, body.invars))
        carried = sum(map(_alike, eqn.outvars, body.outvars))
        consts = whole - carried
        return self._loop(body, given[:consts], given[consts:], carried, at)

    def _while(self, params: Any, given: list[Labels], at: str) -> list[Labels]:
        of_condition, of_body = params["cond_nconsts"], params["body_nconsts"]
        first = of_condition + of_body
        return self._loop(params["body_jaxpr"], given[of_condition:first], given[first:], len(given) - first, at)

    def _loop(self, body: Any, consts: list[Labels], given: list[Labels], carried: int, at: str) -> list[Labels]:
        """Until what is carried gets no more labels; the rest of what is given comes by slices."""
        while True:
            made = self._body(body, consts + given, at)
            more = [was | now for was, now in zip(given[:carried], made[:carried], strict=True)]
            if more == given[:carried]:
                return more + made[carried:]
            given = more + given[carried:]

    def _operation(self, eqn: Any, given: list[Labels], at: str) -> Labels:
        name, labels = eqn.primitive.name, frozenset().union(*given)
        if name.startswith(_EQUALISING):
            return frozenset(label for label in labels if label not in (PART, DEVICE) and label.of != "draw")
        if name == "axis_index" and eqn.params["axis_name"] == self._axis:
            return frozenset({PART, DEVICE})
        if name == "iota":
            return frozenset({POSITIONS})
        if name in ("random_fold_in", "random_seed") and DEVICE in given[-1] and POSITIONS not in given[-1]:
            self.counted[at] = None
        if name == "random_bits" and PART not in labels and self._examples in eqn.outvars[0].aval.shape:
            return labels | {Label("draw", at)}
        if PART in labels:
            drawn = [label for one in given if PART not in one for label in one if label.of == "draw"]
            self.shared |= dict.fromkeys(label.at for label in drawn)
        return labels


def _alike(outside: Any, inside: Any) -> bool:
    """Whether a value goes into a loop's body, or comes out of it, whole."""
    return outside.aval.shape == inside.aval.shape
