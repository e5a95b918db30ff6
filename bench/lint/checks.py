"""What is looked for in a workload, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Iterator

from bench.cases import DEFAULT_MODES
from bench.lint import changing, hosts, numbers, repeating, shards
from bench.lint.subject import Subject
from bench.measured import Finding
from toynet.workload import Workload


def refused_modes(subject: Subject) -> Iterator[Finding]:
    """Modes that are measured by default, and aren't here."""
    refused = {name: why for name, why in subject.workload.refused.items() if name in DEFAULT_MODES}
    for why in dict.fromkeys(refused.values()):
        names = [name for name in refused if refused[name] == why]
        yield Finding("mode", f"it isn't measured in {' and '.join(names)}: {why}", "", "note")


TRACED = (
    refused_modes,
    repeating.batches,
    repeating.other_batches,
    changing.retraces,
    changing.growth,
    changing.large_metrics,
    repeating.other_traces,
    numbers.float64,
    hosts.callbacks,
    hosts.transfers,
    hosts.large_constants,
    hosts.not_donated,
    shards.shared_keys,
)
"""What shapes and jaxprs tell."""
RUN = (numbers.not_finite, changing.traces, repeating.other_runs)
"""What only steps that run tell."""


def findings(workload: Workload, examples: int | None = None) -> tuple[Finding, ...]:
    """All that is found in a workload with batches of so many examples (None: its own size).

    Its steps are run only where nothing was found before that they would stumble over.
    """
    subject = Subject(workload, examples or workload.batch_size)
    found = [one for check in TRACED for one in check(subject)]
    if not any(one.severity == "error" for one in found):
        found += [one for check in RUN for one in check(subject)]
    return tuple(found)
