"""Which cases a selection makes, and what is refused before anything starts."""

import os
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cases import Case, Own, Selection, check_divides, config, expand, path_of, plainly, taken
from toynet.errors import UsageError
from toynet.modes import MODES


def names(**lists: Any) -> list[str]:
    """The names of the cases that a selection makes."""
    return [case.name for case in expand(Selection(**lists))]


def test_the_default_is_two_workloads_in_four_modes_on_1_2_4_and_8_devices_with_8_and_64_members() -> None:
    # Issue 2: the tutorial's workload and one wide MLP (batch 512), each mode on the devices that it takes.
    expected = [
        f"{workload}/{placed}/{sizes}"
        for workload, batch in (("tutorial", 32), ("wide", 512))
        for placed, members in (
            ("single-1", (1,)),
            ("ensemble-1", (8, 64)),
            *((f"data_parallel-{devices}", (1,)) for devices in (1, 2, 4, 8)),
            *((f"ensemble_data-{mesh}", (8, 64)) for mesh in ("2x1", "2x2", "4x2")),
        )
        for sizes in [f"m{count}/b{batch}" for count in members]
    ]
    assert names() == expected


def test_a_mode_takes_of_each_list_what_it_can() -> None:
    assert names(workloads=("tutorial",), devices=(2,), members=(3,)) == [
        "tutorial/data_parallel-2/m1/b32",
        "tutorial/ensemble_data-2x1/m3/b32",
    ]
    assert names(workloads=("tutorial",), devices=(1,), members=(3,)) == [
        "tutorial/single-1/m1/b32",
        "tutorial/ensemble-1/m3/b32",
        "tutorial/data_parallel-1/m1/b32",
    ]


def test_meshes_that_are_named_replace_the_squarest_ones_of_ensemble_data_only() -> None:
    chosen = names(workloads=("wide",), members=(8,), devices=(1, 8), meshes=((8, 1), (2, 4)))
    assert chosen == [
        "wide/single-1/m1/b512",
        "wide/ensemble-1/m8/b512",
        "wide/data_parallel-1/m1/b512",
        "wide/data_parallel-8/m1/b512",
        "wide/ensemble_data-8x1/m8/b512",
        "wide/ensemble_data-2x4/m8/b512",
    ]


def test_over_processes_a_case_is_divided_as_far_as_they_can_share_its_devices() -> None:
    chosen: dict[str, Any] = {"workloads": ("tutorial",), "modes": ("single", "data_parallel"), "devices": (1, 2, 3, 4)}
    assert names(**chosen, across=(1, 2)) == [
        "tutorial/single-1/m1/b32",
        "tutorial/data_parallel-1/m1/b32",
        "tutorial/data_parallel-2/m1/b32",
        "tutorial/data_parallel-2/m1/b32/p2",
        "tutorial/data_parallel-3/m1/b32",
        "tutorial/data_parallel-4/m1/b32",
        "tutorial/data_parallel-4/m1/b32/p2",
    ]
    assert names(**chosen, across=(3,)) == ["tutorial/data_parallel-3/m1/b32/p3"]


def test_a_process_has_no_more_devices_than_there_are() -> None:
    chosen: dict[str, Any] = {"workloads": ("tutorial",), "modes": ("data_parallel",), "devices": (1, 4, 8, 16)}
    assert names(**chosen, across=(1, 2), devices_each=4) == [
        "tutorial/data_parallel-1/m1/b32",
        "tutorial/data_parallel-4/m1/b32",
        "tutorial/data_parallel-4/m1/b32/p2",
        "tutorial/data_parallel-8/m1/b32/p2",
    ]
    with pytest.raises(UsageError, match="on 16 devices shared equally by 1, 2 processes, 4 of each at most;"):
        names(**{**chosen, "devices": (16,)}, across=(1, 2), devices_each=4)


def test_devices_that_no_number_of_processes_can_share_are_refused() -> None:
    with pytest.raises(UsageError, match="data_parallel don't run on 2 devices shared equally by 3 processes;"):
        names(workloads=("tutorial",), modes=("data_parallel",), devices=(2,), across=(3,))
    with pytest.raises(UsageError, match="--across must be at least 1 process, got 0"):
        names(workloads=("tutorial",), across=(0,))


def test_the_bit_equal_variant_stands_beside_each_plain_case_whose_devices_divide_its_eight_sums() -> None:
    assert names(workloads=("tutorial",), modes=("data_parallel",), devices=(2, 3, 8), deterministic=True) == [
        "tutorial/data_parallel-2/m1/b32",
        "tutorial/data_parallel-3/m1/b32",
        "tutorial/data_parallel-8/m1/b32",
        "tutorial/data_parallel-2/m1/b32/deterministic",
        "tutorial/data_parallel-8/m1/b32/deterministic",
    ]


def test_batch_and_dtype_are_those_asked_for() -> None:
    cases = expand(Selection(workloads=("tutorial",), modes=("single",), batch=(7, 64), dtype="float64"))
    assert [(case.batch, case.dtype) for case in cases] == [(7, "float64"), (64, "float64")]
    assert [case.name for case in cases] == ["tutorial/single-1/m1/b7/float64", "tutorial/single-1/m1/b64/float64"]


def test_a_network_of_other_sizes_or_products_is_told_by_its_name_and_by_its_case() -> None:
    asked: dict[str, Any] = {"workloads": ("wide",), "modes": ("data_parallel",), "devices": (2,)}
    (resized,) = expand(Selection(**asked, hidden_dim=(2048,), compute_dtype="bfloat16"))
    assert resized.name == "wide/data_parallel-2/m1/b512/h2x2048/bfloat16"
    assert (resized.hidden_layers, resized.hidden_dim, resized.products) == (2, 2048, "bfloat16")
    its = config(resized)
    assert (its.hidden_layers, its.hidden_dim, its.products) == (2, 2048, "bfloat16")
    assert its.parameters == 4349962  # (64 + 1) 2048 + (2048 + 1) 2048 + (2048 + 1) 10
    assert names(**asked, hidden_layers=(5,), deterministic=True)[1] == (
        "wide/data_parallel-2/m1/b512/h5x1024/deterministic"
    )


def test_what_a_preset_is_anyway_changes_no_name() -> None:
    plain = names(workloads=("wide",), modes=("single",))
    assert names(workloads=("wide",), modes=("single",), hidden_layers=(2,), hidden_dim=(1024,)) == plain
    assert names(workloads=("wide",), modes=("single",), compute_dtype="float32") == plain


def test_lists_of_depths_and_widths_are_multiplied_and_the_presets_own_size_keeps_its_name() -> None:
    chosen: dict[str, Any] = {"workloads": ("tutorial", "wide"), "modes": ("single", "ensemble"), "members": (8,)}
    assert names(**chosen, hidden_layers=(1, 2), hidden_dim=(10, 64)) == [
        f"{workload}/{placed}/b{batch}{network}"
        for workload, batch, own in (("tutorial", 32, "h1x10"), ("wide", 512, "h2x1024"))
        for size in ("h1x10", "h1x64", "h2x10", "h2x64")
        for network in ("" if size == own else f"/{size}",)
        for placed in ("single-1/m1", "ensemble-1/m8")
    ]


def test_each_network_scales_by_itself() -> None:
    chosen: dict[str, Any] = {"modes": ("data_parallel",), "devices": (1, 2), "scaling": ("strong",)}
    assert of_tutorial(**chosen, hidden_dim=(10, 64)) == [
        "tutorial/single-1/m1/b32",
        "tutorial/data_parallel-2/m1/b32",
        "tutorial/single-1/m1/b32/h1x64",
        "tutorial/data_parallel-2/m1/b32/h1x64",
    ]


@pytest.mark.parametrize(("asked", "products"), [(None, "bfloat16"), ("bfloat16", "bfloat16"), ("float32", "float32")])
def test_xl_says_what_it_computes_in_and_can_be_told_to_do_without_bfloat16(asked: str | None, products: str) -> None:
    (case,) = expand(Selection(workloads=("xl",), modes=("single",), compute_dtype=asked))
    assert case.name == f"xl/single-1/m1/b4096/{products}"
    assert config(case).products == case.products == products


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_dim": (7,)},
        {"hidden_layers": (0,)},
        {"compute_dtype": "bfloat16"},
        {"dtype": "float64"},
        {"deterministic": True},
    ],
)
def test_a_workload_of_the_users_own_computes_as_it_was_written(change: dict[str, Any]) -> None:
    selection = Selection(workloads=("module:step",), modes=("single",), **change)
    with pytest.raises(UsageError, match=r"--hidden-dim are for presets; 'module:step' computes as it was written"):
        expand(selection, {"module:step": 5})


def test_what_is_named_twice_is_measured_once() -> None:
    assert names(workloads=("tutorial", "tutorial"), modes=("single", "single"), devices=(1, 1)) == [
        "tutorial/single-1/m1/b32"
    ]


@pytest.mark.parametrize(
    ("own", "devices", "said"),
    [
        (Own(name="own", batch_size=64, masked=True, virtual_shards=0, has_parts=False), 3, None),
        (Own(name="own", batch_size=64, masked=False, virtual_shards=0, has_parts=False), 4, None),
        (
            Own(name="own", batch_size=64, masked=False, virtual_shards=0, has_parts=False),
            3,
            "64 doesn't divide over 3 devices, and 'own'",
        ),
        (
            Own(name="own", batch_size=64, masked=True, virtual_shards=8, has_parts=False),
            3,
            "in 8 parts, which 3 devices can't share",
        ),
    ],
)
def test_a_workload_says_over_how_many_devices_its_batch_divides(own: Own, devices: int, said: str | None) -> None:
    case = Case(workload="mine:own", mode="data_parallel", data_shards=devices, batch=64)
    with nullcontext() if said is None else pytest.raises(UsageError, match=said):
        check_divides([case], {"mine:own": own})
    check_divides([case], {})  # a preset takes any batch


def test_a_workload_of_the_users_own_has_its_own_batch_size() -> None:
    selection = Selection(workloads=("module:step",), modes=("single",))
    assert [case.name for case in expand(selection, {"module:step": 5})] == ["module:step/single-1/m1/b5"]


@given(
    st.lists(st.sampled_from(sorted(MODES)), min_size=1),
    st.lists(st.integers(1, 12), min_size=1),
    st.lists(st.integers(1, 12), min_size=1),
    st.booleans(),
)
def test_names_tell_cases_apart_and_no_case_comes_twice(
    modes: list[str], devices: list[int], members: list[int], deterministic: bool
) -> None:
    selection = Selection(
        modes=("data_parallel", *modes), devices=tuple(devices), members=tuple(members), deterministic=deterministic
    )
    cases = expand(selection)
    assert len({case.name for case in cases}) == len(set(cases)) == len(cases)
    assert {case.devices for case in cases if case.mode == "data_parallel"} == set(devices)


def test_a_case_knows_its_devices_and_how_its_mode_divides_them() -> None:
    both = Case(workload="wide", mode="ensemble_data", member_shards=4, data_shards=2, members=64, batch=512)
    assert (both.devices, both.mesh) == (8, "4x2")
    assert (Case(workload="wide", mode="data_parallel", data_shards=8).mesh) == "8"


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"devices": (1, 0)}, "devices must be at least 1, got 0."),
        ({"devices": (2**31,)}, "devices must be below 2**31, got 2147483648."),
        ({"members": (-8,)}, "members must be at least 1, got -8."),
        ({"batch": (-1,)}, "batch must be at least 1, got -1."),
        ({"meshes": ((4, 0),)}, "a mesh needs at least 1 device on each axis, got 4x0."),
        ({"meshes": ((2**31, 1),)}, "a mesh needs fewer than 2**31 devices on each axis, got 2147483648x1."),
        ({"workloads": ()}, "workloads is empty; name at least one."),
        ({"modes": ()}, "modes is empty; name at least one."),
        ({"devices": ()}, "devices is empty; name at least one."),
        ({"members": ()}, "members is empty; name at least one."),
        ({"hidden_layers": (-1,)}, "hidden_layers can't be negative, got -1."),
        ({"hidden_dim": (4, 0)}, "hidden_dim must be at least 1, got 0."),
        (
            {"dtype": "float64", "compute_dtype": "bfloat16"},
            "compute_dtype must be float64, as dtype is, or bfloat16 with dtype float32, "
            "got bfloat16 with dtype float64.",
        ),
        ({"modes": ("ensembel",)}, "no mode is called 'ensembel'; did you mean 'ensemble'?"),
        ({"workloads": ("tutorail",)}, "no workload is called 'tutorail'; did you mean 'tutorial'?"),
        ({"workloads": ("abc",)}, "no workload is called 'abc'; there are: small, tutorial, wide, xl."),
        (
            {"modes": ("single", "ensemble"), "devices": (2, 4)},
            "no case: the modes single, ensemble don't run on 2, 4 devices; single and ensemble take 1, "
            "data_parallel, fsdp and zero1 1 or more, ensemble_data 2 or more.",
        ),
    ],
)
def test_what_makes_no_case_is_refused_with_what_was_expected(lists: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        expand(Selection(**lists))


def of_tutorial(**lists: Any) -> list[str]:
    return names(workloads=("tutorial",), **lists)


def test_scaling_sets_each_case_beside_the_same_on_one_device() -> None:
    assert of_tutorial(modes=("data_parallel",), devices=(1, 2, 4), scaling=("strong", "weak")) == [
        "tutorial/single-1/m1/b32",
        "tutorial/data_parallel-2/m1/b32",
        "tutorial/data_parallel-4/m1/b32",
        "tutorial/data_parallel-2/m1/b64",
        "tutorial/data_parallel-4/m1/b128",
    ]


def test_ensembles_scale_by_their_members() -> None:
    assert of_tutorial(modes=("ensemble_data",), devices=(2,), members=(8,), scaling=("strong", "weak")) == [
        "tutorial/ensemble-1/m8/b32",
        "tutorial/ensemble_data-2x1/m8/b32",
        "tutorial/ensemble_data-2x1/m16/b32",
    ]


@pytest.mark.parametrize(
    ("selection", "sentence"),
    [
        ({"batch": (33,)}, "strong scaling divides batch of 33 over 2 devices"),
        ({"modes": ("ensemble_data",), "members": (7,)}, "strong scaling divides members of 7 over 2 devices"),
        ({"meshes": ((2, 1),)}, "no --mesh"),
        ({"deterministic": True}, "no --deterministic"),
        ({"scaling": ("stong",)}, "strong"),
    ],
)
def test_what_cannot_be_shared_equally_does_not_scale(selection: dict[str, Any], sentence: str) -> None:
    chosen = {"modes": ("data_parallel",), "devices": (2,), "scaling": ("strong", "weak"), **selection}
    with pytest.raises(UsageError, match=sentence):
        of_tutorial(**chosen)


def test_a_batch_that_is_not_the_presets_own_is_to_be_named() -> None:
    assert Case(workload="wide", mode="single", batch=512).usual_batch
    assert not Case(workload="wide", mode="single", batch=4096).usual_batch
    assert Case(workload="own:step", mode="single", batch=7).usual_batch


def test_any_batch_can_grow_with_the_devices() -> None:
    assert "tutorial/data_parallel-2/m1/b66" in of_tutorial(
        modes=("data_parallel",), devices=(2,), batch=(33,), scaling=("weak",)
    )


def test_one_device_is_measured_on_both_paths_where_they_differ() -> None:
    chosen = names(modes=("single", "data_parallel"), devices=(1, 2), paths=None)
    assert chosen[:2] == ["tutorial/single-1/m1/b32", "tutorial/single-1/m1/b32/fast"]
    assert [name for name in chosen if name.endswith("fast")] == ["tutorial/single-1/m1/b32/fast"]
    assert "wide/single-1/m1/b512" in chosen


def test_paths_asked_for_are_those_measured_as_far_as_they_differ() -> None:
    asked = Selection(workloads=("tutorial", "wide"), modes=("data_parallel",), devices=(2,), paths=("fast",))
    assert [case.name for case in expand(asked)] == ["tutorial/data_parallel-2/m1/b32/fast"]
    both = Selection(workloads=("tutorial",), modes=("single",), devices=(1,), paths=("plain", "fast"))
    assert [case.path for case in expand(both)] == ["plain", "fast"]
    scaled = Selection(modes=("data_parallel",), devices=(1, 2), scaling=("strong",), paths=None)
    assert {case.path for case in expand(scaled)} == {"plain"}


@pytest.mark.parametrize(
    ("selection", "why"),
    [
        (Selection(workloads=("wide",), modes=("single",), paths=("fast",)), "the fast path of wide/single-1/m1/b512"),
        (Selection(workloads=("own:step",), paths=("fast",)), "--paths fast"),
    ],
)
def test_a_fast_path_that_there_isnt_is_refused(selection: Selection, why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)):
        expand(selection, {"wide": 512, "own:step": 32})


def test_a_path_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no path is called 'quick'; there are: fast, plain"):
        Selection(paths=("quick",))


def test_elsewhere_than_on_a_cpu_no_path_but_the_plain_one_is_measured() -> None:
    cases = expand(Selection(workloads=("tutorial",), modes=("single",), devices=(1,), paths=None))
    assert [case.path for case in taken(cases, "cpu")] == ["plain", "fast"]
    assert [case.path for case in taken(cases, "gpu")] == ["plain"]
    assert path_of(cases[1], "gpu").plain
    with pytest.raises(UsageError, match="measured on CPUs only, and this is gpu"):
        taken(cases[1:], "gpu")


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("./net.py", "net.py"),
        ("nets//a/../net.py:step", "nets/net.py:step"),
        ("package.module:step", "package.module:step"),
        ("tutorial", "tutorial"),
        ("/a/net.py", "/a/net.py"),
        (os.path.abspath("nets/net.py:step"), "nets/net.py:step"),
    ],
)
def test_a_file_is_called_the_same_however_its_path_is_written(written: str, plain: str) -> None:
    assert plainly(written) == plain


def test_a_name_that_lacks_its_ending_is_asked_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain_step.py").touch()
    with pytest.raises(UsageError, match=r"no workload is called 'plain_step'; did you mean the file 'plain_step\.py'"):
        expand(Selection(workloads=("plain_step",)))
