"""What the ratios of stored records are worth: what else is in them, and what they can't show."""

from __future__ import annotations

from bench.contrast import Compared, Contrast, Held
from bench.likeness import processes, same_software
from bench.report import quantity


def sentences(found: Compared) -> list[str]:
    """All of them; none where nothing is compared."""
    shown = [contrast for contrast in found.contrasts if contrast.matches]
    if not shown:
        return []
    said: list[str] = []
    for contrast in shown:
        said += _oversubscribed(contrast)
        said += _unchecked(found.base, contrast)
        said += _precision(found.base, contrast)
        said += _hosts(found.base, contrast)
        said += _processes(found.base, contrast)
        said += _reference(found.base, contrast)
    hardware = any(contrast.relation == "hardware" for contrast in shown)
    for held in (found.base, *(contrast.other for contrast in shown)):
        said += _cores(held) if hardware else []
        said += _unfinished(held)
    said.append(
        "Stored records are not paired: they were measured at different moments, and what a machine does differently "
        "from one to the other is in no interval here. Where nothing differs, 95% intervals still show a difference in "
        "1 of 20 cases, by chance."
    )
    return said + [_ab(found.base, contrast) for contrast in shown if contrast.relation == "versions"]


def _oversubscribed(contrast: Contrast) -> list[str]:
    n = sum(match.oversubscribed and bool(match.ratio) for match in contrast.matches.values())
    if contrast.relation != "hardware" or not n:
        return []
    return [
        f"{contrast.other.name}: {n} case{'s' * (n > 1)} with more simulated devices than cores on either side: shown, "
        "but no ground to call hardware faster."
    ]


def _unchecked(base: Held, contrast: Contrast) -> list[str]:
    unknown = [name for name, match in contrast.matches.items() if not match.checked]
    if not unknown:
        return []
    return [
        f"Whether {base.name} and {contrast.other.name} compute the same isn't known by their losses, which weren't "
        f"kept or aren't of the same steps (long steps aren't run in one program), of {', '.join(unknown)}."
    ]


def _precision(base: Held, contrast: Contrast) -> list[str]:
    """Float32 isn't float32 everywhere."""
    rounded = {match.products for match in contrast.matches.values() if match.products[0] != match.products[1]}
    return [
        f"Products are rounded to {a} in {base.name} and to {b} in {contrast.other.name}, so the ratio has their "
        "precision in it; JAX_DEFAULT_MATMUL_PRECISION=highest in the environment of `run` has float32 everywhere."
        for a, b in sorted(rounded)
    ]


def _hosts(base: Held, contrast: Contrast) -> list[str]:
    hosts = [held.record.host.cpu_model for held in (base, contrast.other)]
    if contrast.relation != "versions" or hosts[0] == hosts[1]:
        return []
    return [
        f"The CPUs beside the accelerators differ ({hosts[0]} in {base.name}, {hosts[1]} in {contrast.other.name}): "
        "they dispatch the steps, so a ratio of steps that are waited for is theirs, too."
    ]


def _processes(base: Held, contrast: Contrast) -> list[str]:
    """Of runs that were in other numbers of them, or on other numbers of hosts."""
    a, b = (processes(held.record) for held in (base, contrast.other))
    if a == b:
        return []
    return [
        f"Processes: {a} in {base.name}, {b} in {contrast.other.name}. A case is compared with its like over as many "
        "processes, on as many hosts. The reference workload is that of the first process, alone or beside the others."
    ]


def _reference(base: Held, contrast: Contrast) -> list[str]:
    """Of each workload, whose cases were measured at other moments than another's."""
    if contrast.relation != "versions":
        return []
    several = len({summary.case.workload for summary in base.cases.values()}) > 1
    return [
        f"The reference workload, which no commit changes, was {quantity.between(factor)} as fast in "
        f"{contrast.other.name} as in {base.name}{f' beside the cases of {workload}' * several}: so much of a ratio is "
        "the machine's or the moment's, or another jaxlib's."
        for workload, factor in sorted(contrast.reference.items())
    ]


def _cores(held: Held) -> list[str]:
    """What one device is, where that is simulated."""
    record, cores = held.record, len(held.record.host.usable_cores)
    if not record.backend.simulated or cores == 1:
        return []
    if not record.pinned:
        return [f"{held.name}: workers couldn't be kept on cores there, so a case on one device had all {cores} cores."]
    return [f"{held.name}: a device is a core, so a case on one device had 1 of {cores} cores."]


def _unfinished(held: Held) -> list[str]:
    if held.record.complete:
        return []
    return [f"{held.name}: the run was ended before its last round; what is compared is what there was by then."]


def _ab(base: Held, contrast: Contrast) -> str:
    """What compares these versions as pairs, if they are two."""
    both = f"{base.name} and {contrast.other.name}"
    if same_software(base.record, contrast.other.record):
        return f"Nothing of the software of {both} differs, so their ratios show their moments, and chance."
    a, b = (held.record.host.commit for held in (base, contrast.other))
    sides, dirty = "A B", []
    if a and b and a != b:
        sides = f"rev={a[:12]} rev={b[:12]}"
        dirty = [held.name for held in (base, contrast.other) if held.record.host.dirty]
    if any(match.unlike for match in contrast.matches.values()):
        sides += " --allow-different-results"
    commits = "their commits" if len(dirty) > 1 else "its commit"
    said = (
        f"So a small ratio of {both} may be the moment's and not the version's; `python -m bench ab {sides}` asks both "
        "in turn and comes to a verdict."
    )
    return said + f" What {' and '.join(dirty)} had besides {commits} (dirty) isn't asked so." * bool(dirty)
