"""Files that belong to cases have names that any file system takes, and that tell them apart."""

from bench.places import file_name


def test_a_case_of_a_preset_has_its_own_name_with_dots() -> None:
    assert file_name("tutorial/single-1/m1/b32") == "tutorial.single-1.m1.b32"


def test_a_path_in_a_name_hides_no_file_and_leads_nowhere_else() -> None:
    above, here = file_name("../net.py/single-1"), file_name("net.py/single-1")
    assert here == "net.py.single-1"
    assert above.startswith("net.py.single-1.")
    assert file_name("/net.py/single-1") not in (above, here)
    assert "/" not in above


def test_a_long_name_is_cut_and_still_told_from_others() -> None:
    long = [file_name(f"{first}/{'é' * 300}/net.py/single-1/m1/b32") for first in "ab"]
    assert long[0] != long[1]
    assert all(len(name.encode()) < 200 for name in long)
    assert all("net.py.single-1.m1.b32." in name for name in long)
