"""Which cards JAX's devices are, and what they tell: with a library that knows four cards, and fails where told to."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from bench import nvml
from bench.nvml import Gpu, Reading

UUIDS = ("GPU-aa00", "GPU-ab11", "GPU-b222", "GPU-c333")


class NVMLError(Exception):
    """As the library raises."""


@dataclass
class Library:
    """The functions of pynvml that are used; a card's handle is its place on the bus."""

    names: tuple[str, ...] = ("a card",) * 4
    failing: set[str] = field(default_factory=set)
    """Functions that this driver doesn't have."""
    reasons: int = 0
    modes: dict[int, int] = field(default_factory=dict)
    NVMLError: type[Exception] = NVMLError
    NVML_CLOCK_SM: int = 1
    NVML_TEMPERATURE_GPU: int = 0
    NVML_COMPUTEMODE_EXCLUSIVE_PROCESS: int = 3

    def _allowed(self, name: str) -> None:
        if name in self.failing:
            raise NVMLError(name)

    def nvmlInit(self) -> None:
        self._allowed("init")

    def nvmlSystemGetDriverVersion(self) -> str:
        return "575.57.08"

    def nvmlDeviceGetCount(self) -> int:
        self._allowed("count")
        return len(self.names)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int | str:
        if uuid not in (*UUIDS, "MIG-slice"):
            raise NVMLError(uuid)
        return uuid if uuid == "MIG-slice" else UUIDS.index(uuid)

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, part: str) -> int:
        return {"MIG-slice": 2}[part]

    def nvmlDeviceGetName(self, card: int) -> str:
        return self.names[card]

    def nvmlDeviceGetUUID(self, card: int) -> str:
        return UUIDS[card]

    def nvmlDeviceGetMemoryInfo(self, card: int | str) -> SimpleNamespace:
        self._allowed("memory")
        return SimpleNamespace(free=10**10 if isinstance(card, str) else (80 - card) * 10**9)

    def nvmlDeviceGetComputeMode(self, card: int) -> int:
        return self.modes.get(card, 0)

    def nvmlDeviceGetEnforcedPowerLimit(self, card: int) -> int:
        self._allowed("limit")
        return 700_000

    def nvmlDeviceGetPowerUsage(self, card: int) -> int:
        self._allowed("power")
        return 300_500 + card

    def nvmlDeviceGetClockInfo(self, card: int, which: int) -> int:
        assert which == self.NVML_CLOCK_SM
        return 1980

    def nvmlDeviceGetTemperature(self, card: int, sensor: int) -> int:
        assert sensor == self.NVML_TEMPERATURE_GPU
        return 50 + card

    def nvmlDeviceGetCurrentClocksEventReasons(self, card: int) -> int:
        self._allowed("event reasons")
        return self.reasons

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, card: int) -> int:
        self._allowed("throttle reasons")
        return self.reasons


def uuids(library: Library, count: int, **environment: str) -> list[str]:
    """Of the first so many CUDA devices."""
    return [gpu.uuid for gpu in nvml.gpus(library, range(count), environment)]


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, ["GPU-aa00", "GPU-ab11"]),
        ("2,0", ["GPU-b222", "GPU-aa00"]),
        ("3, 1 ,0", ["GPU-c333", "GPU-ab11"]),
        ("GPU-c333,GPU-ab11", ["GPU-c333", "GPU-ab11"]),
        ("GPU-ab,GPU-b", ["GPU-ab11", "GPU-b222"]),  # the beginning is enough where it is one card's
        ("1,GPU-aa00", ["GPU-ab11", "GPU-aa00"]),
    ],
)
def test_cuda_visible_devices_chooses_and_orders_the_cards(visible: str | None, found: list[str]) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert uuids(Library(), 2, **environment) == found


@pytest.mark.parametrize("visible", ["", "-1", "1", "0,9,1", "0,-1,1", "GPU-a,0", "aa00,0", "GPU-d", "MIG-none,0"])
def test_a_name_that_leads_to_no_card_hides_those_after_it(visible: str) -> None:
    # Two devices are asked for, and CUDA would show one or none of these.
    assert uuids(Library(), 2, CUDA_VISIBLE_DEVICES=visible) == []


@pytest.mark.parametrize(("slice_of", "card"), [("MIG-slice", "GPU-b222"), ("MIG-GPU-c333/7/0", "GPU-c333")])
def test_a_slice_leads_to_its_card_and_keeps_its_name(slice_of: str, card: str) -> None:
    (gpu,) = nvml.gpus(Library(), [0], {"CUDA_VISIBLE_DEVICES": slice_of})
    assert (gpu.uuid, gpu.mig) == (card, slice_of)


def test_jaxs_own_choice_among_the_visible_devices_is_followed() -> None:
    visible = {"CUDA_VISIBLE_DEVICES": "3,2,1"}
    assert [gpu.uuid for gpu in nvml.gpus(Library(), [2, 0], visible)] == ["GPU-ab11", "GPU-c333"]


def test_indices_of_unlike_cards_are_known_by_bus_order_only() -> None:
    unlike = Library(names=("slow", "fast", "slow", "slow"))
    assert uuids(unlike, 2) == []  # CUDA would count the fast one first
    assert uuids(unlike, 2, CUDA_VISIBLE_DEVICES="0,1") == []
    assert uuids(unlike, 2, CUDA_VISIBLE_DEVICES="GPU-ab11,GPU-aa00") == ["GPU-ab11", "GPU-aa00"]
    assert uuids(unlike, 2, CUDA_DEVICE_ORDER="PCI_BUS_ID") == ["GPU-aa00", "GPU-ab11"]


def test_a_card_is_described_with_its_limit_and_whether_it_takes_one_process() -> None:
    shared, alone = nvml.gpus(Library(modes={1: 3}), [0, 1], {})
    assert shared == Gpu("GPU-aa00", "a card", None, 700.0, False)
    assert alone == Gpu("GPU-ab11", "a card", None, 700.0, True)
    assert nvml.gpus(Library(failing={"limit"}), [0], {})[0].power_limit_w is None
    assert nvml.gpus(Library(failing={"count"}), [0], {}) == ()


def test_a_reading_has_base_units_and_says_when_and_of_which_card() -> None:
    cards = nvml.gpus(Library(), [0, 1], {"CUDA_VISIBLE_DEVICES": "3,1"})
    assert nvml.readings(Library(), cards, 2, 5) == (
        Reading(2, 5, 0, 300.503, 1.98e9, 53.0, ()),
        Reading(2, 5, 1, 300.501, 1.98e9, 51.0, ()),
    )


def test_the_memory_that_is_free_is_that_of_the_fullest_card_or_slice() -> None:
    cards = nvml.gpus(Library(), [0, 1], {"CUDA_VISIBLE_DEVICES": "3,1"})
    assert nvml.free_bytes(Library(), cards) == 77 * 10**9
    assert nvml.free_bytes(Library(), [*cards, Gpu("GPU-b222", "", "MIG-slice")]) == 10**10
    for mute, of in ((None, cards), (Library(failing={"memory"}), cards), (Library(), ())):
        assert nvml.free_bytes(mute, of) is None


def test_what_a_card_does_not_tell_is_none_and_a_lost_card_is_left_out() -> None:
    mute = Library(failing={"power", "event reasons", "throttle reasons"})
    (told,) = nvml.readings(mute, [Gpu("GPU-gone", ""), Gpu("GPU-c333", "")], 0, 0)
    assert told == Reading(0, 0, 1, None, 1.98e9, 53.0, None)


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [  # nvmlClocksEventReason* of nvml.h
        (0x0, ()),
        (0x1 | 0x2 | 0x10 | 0x100, ()),  # idle, clocks that were set, kept in step with others, or for a display
        (0x4, ("power cap",)),
        (0x8 | 0x40, ("hardware slowdown", "heat, by the hardware")),
        (0x20 | 0x80, ("heat, by the driver", "power brake")),
    ],
)
def test_throttling_is_what_power_and_heat_do_to_the_clock(bits: int, reasons: tuple[str, ...]) -> None:
    cards = [Gpu("GPU-aa00", "")]
    (told,) = nvml.readings(Library(reasons=bits), cards, 0, 0)
    (by_an_older_driver,) = nvml.readings(Library(reasons=bits, failing={"event reasons"}), cards, 0, 0)
    assert told.throttling == by_an_older_driver.throttling == reasons


def test_an_older_library_has_one_name_for_the_reasons() -> None:
    functions = {name: getattr(Library(reasons=0x4), name) for name in dir(Library()) if not name.startswith("_")}
    del functions["nvmlDeviceGetCurrentClocksEventReasons"]
    (told,) = nvml.readings(SimpleNamespace(**functions), [Gpu("GPU-aa00", "")], 0, 0)
    assert told.throttling == ("power cap",)


def test_without_the_module_or_a_driver_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (None, Library(failing={"init"})):  # None: an import of it raises ImportError
        monkeypatch.setitem(sys.modules, "pynvml", module)
        assert nvml.library() is None
    assert nvml.driver(None) is None
    assert nvml.gpus(None, [0], {}) == ()
    assert nvml.readings(None, [Gpu("GPU-aa00", "")], 0, 0) == ()


def test_with_the_module_and_a_driver_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Library()
    monkeypatch.setitem(sys.modules, "pynvml", there)
    assert nvml.library() is there
    assert nvml.driver(there) == "575.57.08"
