"""All records of runs in files and folders, in brief."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import digest, record
from bench.digest import Digest
from bench.measured import Kind
from bench.processes import mapping
from toynet.errors import UsageError

# So many files are read sooner by several processes.
MANY = 60


@dataclass(frozen=True)
class Archive:
    """What was found."""

    runs: tuple[Digest, ...]
    """In the order in which they were made."""
    copies: int
    """Files of a run that another file has, too."""
    others: int
    """Files of something else than a run."""
    refusals: tuple[UsageError, ...]
    """What is wrong with the files that can't be read."""


def read(places: Sequence[Path], kind: Kind) -> Archive:
    """The runs in files, and in folders however deep, with the step times of one kind of block."""
    named = frozenset(place for place in places if not place.is_dir())
    files = list(dict.fromkeys(file for place in places for file in _files(place)))
    with mapping(pays=len(files) >= MANY) as mapped:
        outcomes = list(mapped(functools.partial(_outcome, kind=kind, named=named), files))
    refusals = tuple(outcome for outcome in outcomes if isinstance(outcome, UsageError))
    runs = {_identity(run): run for run in outcomes if isinstance(run, Digest)}
    others = outcomes.count(None)
    return Archive(
        runs=tuple(sorted(runs.values(), key=lambda run: (run.created, str(run.path)))),
        copies=len(outcomes) - len(runs) - len(refusals) - others,
        others=others,
        refusals=refusals,
    )


def _files(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from sorted(file for file in place.rglob("*.json") if file.is_file())
    else:
        yield place


def _outcome(file: Path, kind: Kind, named: frozenset[Path]) -> Digest | UsageError | None:
    try:
        run = digest.read(file, kind)
        if run is None and file in named and record.tag(file) is None:
            record.read(file)  # asked for by name, it isn't passed over: says what is wrong
    except UsageError as error:
        return error
    return run


def _identity(run: Digest) -> tuple[object, ...]:
    return run.created, run.machine, run.commit, repr(next(iter((run.ratios or run.step_s).items()), None))
