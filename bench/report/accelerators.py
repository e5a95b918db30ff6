"""What a record says of its accelerators: runtime and driver, power and clocks, devices that one process may hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from bench.nvml import Reading
from bench.record import Record
from bench.report import quantity

# By which a clock may differ between rounds without a word.
CLOCK_TOLERANCE = 0.05


def lines(record: Record) -> list[str]:
    """What is known besides the device's name, a line each; none for a CPU."""
    backend = record.backend
    if backend.platform == "cpu":
        return []
    software = {"runtime": backend.runtime, "driver": backend.driver}
    versions = "; ".join(f"{name} {version}" for name, version in software.items() if version)
    return [line for line in (versions, _readings(record)) if line]


def how_compared(record: Record) -> str:
    """How the workers that a ratio is of were asked."""
    if record.alternation == "restarts":
        return "each had the devices to itself, one after the other in the same restart"
    return "both were asked in turn in the same rounds"


def sentences(record: Record) -> list[str]:
    """What makes its ratios or its times less certain."""
    said = list(_unlike_clocks(record)) + list(_throttled(record))
    if record.alternation == "restarts":
        said.append(
            f"Only one process at a time may hold this {record.backend.platform}: ratios are of workers that weren't "
            "alive at once but came one after another within a restart, in an order drawn anew, so what changed in "
            "between is part of them. Their intervals come from restarts all the same."
        )
    return said


def _readings(record: Record) -> str:
    """Power, clocks and heat in a line; empty if nothing was read."""
    found = record.gpu_readings
    devices = {reading.device for reading in found}
    used = [gpu for i, gpu in enumerate(record.backend.gpus) if i in devices]
    limits = sorted({f"{gpu.power_limit_w:.0f}" for gpu in used if gpu.power_limit_w is not None})
    allowed = f", of {' or '.join(limits)} W allowed" if limits else ""
    quantities = (
        ("power", _range([r.power_w for r in found if r.power_w is not None], 1.0, ".0f"), f" W{allowed}"),
        ("SM clock", _clocks(found), " GHz"),
        ("at", _range([r.temperature_c for r in found if r.temperature_c is not None], 1.0, ".0f"), " °C"),
    )
    told = "; ".join(f"{name} {values}{unit}" for name, values, unit in quantities if values)
    cards = f" of {len(used)} cards" if len(used) > 1 else ""
    whole = " (of whole cards, of which MIG slices were used)" if any(gpu.mig for gpu in used) else ""
    return f"right after rounds{cards}: {told}{whole}" if told else ""


def _unlike_clocks(record: Record) -> Iterator[str]:
    for device, readings in _by_device(record):
        clocks = [r.sm_clock_hz for r in readings if r.sm_clock_hz]
        if clocks and max(clocks) > (1 + CLOCK_TOLERANCE) * min(clocks):
            percent = quantity.rounded(100 * (max(clocks) / min(clocks) - 1), 2)
            yield (
                f"The SM clock of GPU {device} differed by {percent}% between rounds ({_clocks(readings)} GHz): times "
                "depend on when they were taken, ratios of cases in the same rounds do so less; "
                "`nvidia-smi --lock-gpu-clocks` keeps it."
            )


def _throttled(record: Record) -> Iterator[str]:
    for device, readings in _by_device(record):
        reasons = Counter(reason for r in readings for reason in r.throttling or ())
        if reasons:
            times = sum(bool(r.throttling) for r in readings)
            yield (
                f"GPU {device} was throttled at {times} of {len(readings)} readings ({', '.join(reasons)}): its "
                "clock was below what the card can do, so times depend on its cooling and its power limit."
            )


def _by_device(record: Record) -> list[tuple[int, list[Reading]]]:
    devices = sorted({reading.device for reading in record.gpu_readings})
    return [(device, [r for r in record.gpu_readings if r.device == device]) for device in devices]


def _clocks(readings: Sequence[Reading]) -> str:
    return _range([r.sm_clock_hz for r in readings if r.sm_clock_hz is not None], 1e-9, ".2f")


def _range(values: Sequence[float], unit: float, digits: str) -> str:
    """From the least to the most, in another unit; empty without a value."""
    ends = dict.fromkeys(f"{unit * value:{digits}}" for value in (min(values), max(values))) if values else {}
    return " to ".join(ends)
