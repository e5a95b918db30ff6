"""What a side may be written as, and the worktrees that revisions are checked out into."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.sides import Side, checked_out, side
from toynet.errors import UsageError


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two commits of one file; the current folder."""
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
        monkeypatch.setenv(name, "somebody")
    for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "somebody@example.org")
    made = tmp_path / "repository"
    (made / "inside").mkdir(parents=True)
    git(made, "init", "--quiet", "--initial-branch=main")
    for text in ("old", "new"):
        (made / "inside" / "file").write_text(text)
        git(made, "add", ".")
        git(made, "commit", "--quiet", "--message", text)
    monkeypatch.chdir(made)
    return made


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def worktrees(folder: Path) -> int:
    return len(git(folder, "worktree", "list").splitlines())


@pytest.mark.parametrize("text", ["", "."])
def test_nothing_of_its_own_is_the_working_tree(text: str) -> None:
    assert side(text) == Side(text=".")


def test_every_part_is_read(tmp_path: Path) -> None:
    text = f"path={tmp_path},python={sys.executable},rev=v1.2,devices=4,mode=data_parallel,env:A=1,env:B_2="
    assert side(text) == Side(
        text=text,
        path=tmp_path,
        python=sys.executable,
        rev="v1.2",
        devices=4,
        mode="data_parallel",
        environment=(("A", "1"), ("B_2", "")),
    )


def test_a_comma_within_a_value_is_a_part_of_it() -> None:
    read = side("env:XLA_FLAGS=--xla_a=1,2 --xla_b=x=y,devices=2")
    assert read.environment == (("XLA_FLAGS", "--xla_a=1,2 --xla_b=x=y"),)
    assert read.devices == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("main", r"a side is written as rev=main, .* or as \. for the working tree; got 'main'"),
        ("revision=main", "no part of a side is called 'revision'; did you mean 'rev'"),
        ("x,rev=main", "no part of a side is called 'x,rev'"),
        ("rev=", "rev has no value"),
        ("rev=a,rev=b", "rev is given twice"),
        ("path=no/such/folder", "path=no/such/folder: there is no such folder"),
        ("python=no-such-python", "python=no-such-python: no interpreter is found there"),
        ("devices=two", "devices=two: a whole number was expected"),
        ("devices=-2", "devices=-2: a whole number was expected"),
        ("env:XLA_FLAGS=\u2013\u2013xla_a=1", r"XLA_FLAGS has '.' \(U\+2013\)"),
    ],
)
def test_what_is_not_a_side_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        side(text)


def test_a_link_to_an_interpreter_stays_one_for_it_tells_the_virtual_environment(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    assert side(f"python={tmp_path / 'python'}").python == str(tmp_path / "python")


def test_a_revision_is_checked_out_and_removed(repository: Path) -> None:
    with checked_out(side("rev=HEAD~1")) as tree:
        assert (tree.folder / "inside" / "file").read_text() == "old"
        assert (tree.commit, tree.dirty) == (git(repository, "rev-parse", "HEAD~1"), False)
        assert worktrees(repository) == 2
    assert not tree.folder.exists()
    assert worktrees(repository) == 1


def test_a_worktree_is_removed_whatever_happens_while_it_is_there(repository: Path) -> None:
    with pytest.raises(KeyboardInterrupt), checked_out(side("rev=main")):
        raise KeyboardInterrupt
    assert worktrees(repository) == 1


def test_a_folder_within_a_repository_is_the_same_folder_of_the_revision(repository: Path) -> None:
    with checked_out(side("path=inside,rev=HEAD~1")) as tree:
        assert (tree.folder / "file").read_text() == "old"


def test_a_folder_that_a_revision_has_not_is_told_with_where_to_run_it(repository: Path) -> None:
    (repository / "newer").mkdir()
    said = "rev=HEAD~1 has no folder 'newer/'; run this from the root of the repository, and name files as from there"
    with pytest.raises(UsageError, match=said), checked_out(side("path=newer,rev=HEAD~1")):
        pass


def test_the_working_tree_says_its_commit_and_whether_it_is_dirty(repository: Path) -> None:
    with checked_out(side(".")) as tree:
        assert (tree.commit, tree.dirty) == (git(repository, "rev-parse", "HEAD"), False)
    (repository / "inside" / "file").write_text("newer")
    with checked_out(side(".")) as tree:
        assert tree.dirty


def test_a_git_hooks_variables_do_not_lead_to_another_repository(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/no/such/repository")
    with checked_out(side("rev=main")) as tree:
        assert (
            tree.commit
            == subprocess.run(
                ["git", "rev-parse", "main"],
                cwd=repository,
                env={k: v for k, v in os.environ.items() if k != "GIT_DIR"},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
        )


def test_a_revision_that_is_not_there_says_how_to_fetch_it(repository: Path) -> None:
    said = r"rev=v9: git knows no such revision here; .*git fetch --unshallow"
    with pytest.raises(UsageError, match=said), checked_out(side("rev=v9")):
        pass


def test_a_revision_that_looks_like_an_option_is_none(repository: Path) -> None:
    with pytest.raises(UsageError, match="no such revision"), checked_out(side("rev=--help")):
        pass


def test_a_folder_outside_git_has_no_commit_and_no_revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with checked_out(side(f"path={tmp_path}")) as tree:
        assert (tree.commit, tree.dirty) == (None, False)
    with pytest.raises(UsageError, match="is not in a git repository"), checked_out(side(f"path={tmp_path},rev=main")):
        pass
