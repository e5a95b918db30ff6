"""Which cases are alive at once where not all can be: each with all that it is compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from bench import lookup
from bench.cases import Case
from bench.room import Room
from bench.scaling import fits
from bench.summary import single_of


class Turns:
    """Divides the cases of a run, or those of them that are left, into what may be alive at once."""

    def __init__(self, cases: Sequence[Case], room: Room, *, exclusive: bool = False) -> None:
        """Raises UsageError for a case that doesn't fit with what it is compared with; if `exclusive`, alone."""
        self._room = room
        self._references = dict.fromkeys(cases, ()) if exclusive else references(cases, scaling=room.parts)
        self._needs = {case: room.need(case, lookup.shapes(case)) for case in cases}
        for case, others in self._references.items():
            room.check(case, self._needs[case], [self._needs[other] for other in others])

    def __call__(self, cases: Sequence[Case]) -> list[list[Case]]:
        """Turns of cases: each case is in one of them, and in all those of cases that are compared with it.

        Those that share a reference come together, as far as they can. Within that, the order of `cases` decides,
        so that another order has other neighbours.
        """
        turns: list[dict[Case, None]] = []
        for case in self._in_order(cases):
            if any(case in turn for turn in turns):
                continue
            wanted = dict.fromkeys([case, *(other for other in self._references[case] if other in cases)])
            free = [turn for turn in turns if self._room.holds([self._needs[one] for one in turn | wanted])]
            if free:
                free[0].update(wanted)
            else:
                turns.append(wanted)
        return [list(turn) for turn in turns]

    def _in_order(self, cases: Sequence[Case]) -> list[Case]:
        """By what they are compared with; what others bring with them comes last."""
        families = list(dict.fromkeys(single_of(case) for case in cases))
        brought = {other for case in cases for other in self._references[case]}
        return sorted(cases, key=lambda case: (case in brought, families.index(single_of(case))))


def references(cases: Sequence[Case], *, scaling: bool) -> Mapping[Case, tuple[Case, ...]]:
    """What each case is compared with, and what that is: `single`; with `scaling` the one device that it scales from;
    of a deterministic or a fast case, the plain one."""
    ones = [case for case in cases if case.devices == 1 and case.mode in ("single", "ensemble")]

    def compared(case: Case) -> list[Case]:
        scales = [one for one in ones if scaling and any(fits(one, case, name) for name in ("strong", "weak"))]
        plainer = [dataclasses.replace(case, deterministic=False), dataclasses.replace(case, path="plain")]
        wanted = [single_of(case), *plainer, *scales]
        return [other for other in wanted if other != case and other in cases]

    def closure(case: Case) -> list[Case]:
        return [each for other in compared(case) for each in (other, *closure(other))]

    return {case: tuple(dict.fromkeys(closure(case))) for case in cases}
