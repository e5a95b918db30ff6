"""NVIDIA GPUs as their management library (NVML) sees them, by nvidia-ml-py where that is installed.

It needs no CUDA context, so a process that holds no device may ask. Workers import this: standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
Named = tuple[Any, str | None]
"""A card's handle, and the name of the MIG slice of it."""

# nvmlClocksEventReasons of nvml.h: what lowers a clock for power or heat; idling and clocks that were set don't count.
THROTTLING = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "heat, by the driver",
    0x40: "heat, by the hardware",
    0x80: "power brake",
}
REASONS = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")  # the latter is older


@dataclass(frozen=True)
class Gpu:
    """Which card a JAX device is."""

    uuid: str
    name: str
    mig: str | None = None
    """The slice of the card that is used, as CUDA_VISIBLE_DEVICES names it."""
    power_limit_w: float | None = None
    one_process: bool = False
    """Whether its compute mode lets one process at a time use it."""


@dataclass(frozen=True)
class Reading:
    """A card right after a round; None where it doesn't tell."""

    restart: int
    round: int
    device: int
    """Its place among the backend's GPUs."""
    power_w: float | None
    """Of the whole card; on most, averaged over the last second."""
    sm_clock_hz: float | None
    temperature_c: float | None
    throttling: tuple[str, ...] | None
    """What lowers the clock at that moment."""


def library() -> Any:
    """pynvml, ready to be asked; None where it isn't installed, or finds no driver."""
    try:
        import pynvml  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return pynvml if _told(pynvml, lambda: (pynvml.nvmlInit(),)) else None


def driver(nvml: Any) -> str | None:
    """The driver's version."""
    return None if nvml is None else _told(nvml, nvml.nvmlSystemGetDriverVersion)


def gpus(nvml: Any, ordinals: Sequence[int], environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """The cards that CUDA counts as those devices; none where that can't be told."""
    return () if nvml is None else _told(nvml, lambda: _gpus(nvml, ordinals, environment)) or ()


def free_bytes(nvml: Any, cards: Sequence[Gpu]) -> int | None:
    """Memory that is free on the fullest of those cards, or slices of them; None where that can't be told."""
    if nvml is None:
        return None
    handle, memory = nvml.nvmlDeviceGetHandleByUUID, nvml.nvmlDeviceGetMemoryInfo
    return _told(nvml, lambda: min([memory(handle(card.mig or card.uuid)).free for card in cards], default=None))


def readings(nvml: Any, cards: Sequence[Gpu], restart: int, number: int) -> tuple[Reading, ...]:
    """A reading of each card after that round; none without NVML."""
    if nvml is None:
        return ()
    handles = [_told(nvml, lambda card=card: nvml.nvmlDeviceGetHandleByUUID(card.uuid)) for card in cards]
    return tuple(_reading(nvml, handle, restart, number, i) for i, handle in enumerate(handles) if handle is not None)


def _reading(nvml: Any, handle: Any, restart: int, number: int, device: int) -> Reading:
    return Reading(
        restart,
        number,
        device,
        power_w=_scaled(_told(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(handle)), 1e-3),
        sm_clock_hz=_scaled(_told(nvml, lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)), 1e6),
        temperature_c=_scaled(
            _told(nvml, lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)), 1.0
        ),
        throttling=_throttling(nvml, handle),
    )


def _throttling(nvml: Any, handle: Any) -> tuple[str, ...] | None:
    for name in REASONS:
        ask = getattr(nvml, name, None)
        bits = None if ask is None else _told(nvml, lambda ask=ask: ask(handle))
        if bits is not None:
            return tuple(reason for bit, reason in THROTTLING.items() if bits & bit)
    return None


def _gpus(nvml: Any, ordinals: Sequence[int], environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    found = _visible(nvml, environment)
    known = all(0 <= ordinal < len(found) for ordinal in ordinals)
    return tuple(_gpu(nvml, *found[ordinal]) for ordinal in ordinals) if known else ()


def _visible(nvml: Any, environment: Mapping[str, str]) -> list[Named]:
    """The cards in CUDA's order, as far as CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER tell it."""
    cards = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
    alike = len({nvml.nvmlDeviceGetName(card) for card in cards}) <= 1
    # NVML counts by PCI bus. CUDA counts the fastest first unless told otherwise, which is the same among equals.
    indexed = cards if alike or environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" else []
    if "CUDA_VISIBLE_DEVICES" not in environment:
        return [(card, None) for card in indexed]
    found: list[Named] = []
    for name in environment["CUDA_VISIBLE_DEVICES"].split(","):
        named = _named(nvml, cards, indexed, name.strip())
        if named is None:
            break  # as in CUDA: a name that leads to nothing hides those after it
        found.append(named)
    return found


def _named(nvml: Any, cards: Sequence[Any], indexed: Sequence[Any], name: str) -> Named | None:
    """A card by its index, by the beginning of its UUID, or by a slice of it; None if there is no such."""
    if name.isdecimal():
        return (indexed[int(name)], None) if int(name) < len(indexed) else None
    if name.startswith("MIG-GPU-"):  # MIG-<the card's UUID>/<instance>/<instance>, of drivers before 470
        card = _by_uuid(nvml, cards, name[len("MIG-") :].partition("/")[0])
        return None if card is None else (card, name)
    if name.startswith("MIG-"):
        part = nvml.nvmlDeviceGetHandleByUUID
        card = _told(nvml, lambda: nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part(name)))
        return None if card is None else (card, name)
    card = _by_uuid(nvml, cards, name)
    return None if card is None else (card, None)


def _by_uuid(nvml: Any, cards: Sequence[Any], beginning: str) -> Any:
    found = [card for card in cards if nvml.nvmlDeviceGetUUID(card).startswith(beginning)]
    return found[0] if beginning.startswith("GPU-") and len(found) == 1 else None


def _gpu(nvml: Any, card: Any, mig: str | None) -> Gpu:
    mode = _told(nvml, lambda: nvml.nvmlDeviceGetComputeMode(card))
    return Gpu(
        uuid=nvml.nvmlDeviceGetUUID(card),
        name=nvml.nvmlDeviceGetName(card),
        mig=mig,
        power_limit_w=_scaled(_told(nvml, lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(card)), 1e-3),
        one_process=mode is not None and mode == nvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS,
    )


def _told(nvml: Any, ask: Callable[[], T]) -> T | None:
    """What NVML answers; None where a card, its driver or a container doesn't let it."""
    try:
        return ask()
    except nvml.NVMLError:
        return None


def _scaled(value: int | None, unit: float) -> float | None:
    return None if value is None else round(value * unit, 3)
