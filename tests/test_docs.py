"""Every command and example of the pages in docs/ works. Those that the README has, too, are left to its own tests."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from documents import ALL, PAGES, README, ROOT, blocks, commands, inline, understood
from test_verdicts_report import comparison, pair

from bench import imported
from bench.cli import main
from bench.record import write
from toynet.workload import loss

OF_README = set(commands(README))
ON_PAGES = dict.fromkeys(line for page in PAGES for line in commands(page))
# tests/test_docs_pytest.py runs those of pytest.
COMMANDS = [c for c in ON_PAGES if c not in OF_README and " -m pytest " not in c]

# They set up the environment that these tests run in.
SETS_UP = {
    "make setup",
    "make setup EXTRAS=dev,cuda",
    "source .venv/bin/activate",
    "pip install --editable path/to/toynet-bench",
}
# They start processes on several machines, or make what does; deploy/ has tests of its own.
LAUNCHED = {
    "python -m bench run --local-processes 2 --workloads wide --modes single,data_parallel --devices 1,2 --budget 30",
    "python -m bench run --coordinator node1:8476 --processes 2 --process-id 0 --workloads wide --modes data_parallel",
    "python -m bench run --local-processes 2 --workloads wide --modes data_parallel --devices 1,2 "
    "--scaling strong,weak --restarts 5 --budget 150",
    "mpirun -n 2 python -m bench run --distributed auto --workloads wide --modes data_parallel --devices 2 --budget 30",
    "mpirun -n 2 python -m bench run --distributed auto --resume results/latest.json",
    "sbatch deploy/slurm.sbatch --workloads wide --modes data_parallel,fsdp --devices 2,4,8,16",
    "docker build --file deploy/Dockerfile --tag registry.example/toynet-bench .",
    "docker push registry.example/toynet-bench",
    "kubectl apply --filename deploy/results-claim.yaml",
    "kubectl apply --filename deploy/jobset.yaml",
    "kubectl logs --follow --selector batch.kubernetes.io/job-completion-index=0,app=toynet-bench",
    "deploy/cloud-tpu.sh my-slice us-central2-b --workloads wide --modes data_parallel,fsdp",
}
# What is measured here, and what makes it small.
BRIEF = ["--restarts", "1", "--rounds", "1", "--budget", "1"]
MEASURED = {
    "python -m bench run --workload two_functions.py --modes single,data_parallel --devices 1,2 --budget 20": (
        ["--modes", "data_parallel", "--devices", "2"]
    ),
}
# What isn't run, and why: its flags are understood all the same, and its cases listed.
MINUTES = "it takes minutes; the README's tests run its like"
NOT_RUN = {
    "python -m bench run --workloads tutorial --modes single,data_parallel --devices 1,2 --budget 30": (
        "the README's tests run its like"
    ),
    "python -m bench run --workload linen_step.py --modes single,data_parallel --devices 1,2 --budget 20": (
        "two_functions.py is run so, and tests/test_examples.py has models compute"
    ),
    "python -m bench run --workloads tutorial --modes single,ensemble --restarts 10 --budget 120": MINUTES,
    "python -m bench run --workloads wide --modes single,ensemble,data_parallel --budget 120 --out results/gpu.json": (
        "it needs a GPU"
    ),
    "python -m bench run --workload own_step.py --devices 1,2 --budget 30": "the README's tests run own_step.py",
    "python -m bench ab rev=HEAD . --workload own_step.py --threshold 20%": "the README's tests run ab",
    "python -m bench doctor --noise --workloads tutorial": "it takes minutes; tests/test_doctor.py runs its like",
    "JAX_ENABLE_X64=1 python -m bench run --workloads tutorial --modes single,data_parallel --devices 1,2 "
    "--dtype float64 --budget 12": "tests/test_agreement.py computes in float64",
    "JAX_DEFAULT_MATMUL_PRECISION=highest python -m bench run --workloads tutorial --modes single --budget 12": (
        "on a CPU it is what is measured anyway"
    ),
    "python -m bench run --workloads tutorial --modes single,data_parallel --devices 1,2 --trace results/traces": (
        "tests/test_tracing.py traces steps"
    ),
    "python -m bench run --out records/$(date -u +%Y-%m-%dT%H%M%SZ).json --quiet": MINUTES,
    "python -m bench run --scaling strong,weak --workloads wide --modes data_parallel,fsdp --batch 512,4096": MINUTES,
    "python -m bench run --parts --workloads tutorial --modes ensemble --members 1,4,16,64,256,1024,4096,16384 "
    "--budget 600": MINUTES,
    "python -m bench run --parts --workloads wide --modes single --hidden-layers 1,2,4,8 --budget 300": MINUTES,
    "python -m bench run --parts --workloads small --modes single --hidden-dim 16,64,256,1024 --budget 300": MINUTES,
    "python -m bench run --parts --workloads wide --modes single,data_parallel --devices 1,2 --batch 32,128,512,2048 "
    "--budget 600": MINUTES,
    "python -m bench run --parts --workloads wide --modes data_parallel,fsdp --devices 1,2,4,8 --budget 300": MINUTES,
    "python -m toynet train --seeds 4096 --explain": "it takes minutes; the README's tests train fewer members",
    "python -m bench.peers": "it takes 13 minutes; tests/test_peers.py runs its rows",
    "python -m bench.peers.switches": "it takes minutes; tests/test_switches.py reads what it wrote",
}
# Python that stands for itself: lines of other libraries' programs, which this environment doesn't have.
FRAGMENTS = {"exports.md": "pandas, pyarrow and polars"}

NAMED = re.compile(r"# (\w+\.py)\n")
EXAMPLES = {
    (page.name, named[1]): block
    for page in PAGES
    for block in blocks(page, "python")
    if page.name not in FRAGMENTS and (named := NAMED.match(block))
}
WORKLOADS = [name for page, name in EXAMPLES if page == "own-workload.md"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands run: with records, a comparison and each example's file, as a reader has them by then."""
    made = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "results", made / "results")
    results, records = made / "results", made / "records"
    shutil.copy(results / "baseline-scaling-wide-cpu.json", results / "latest.json")
    shutil.copy(results / "baseline-h100.json", results / "gpu.json")
    write(comparison(pair()), results / "ab-latest.json")
    records.mkdir()
    for name in ("reference-1.json", "reference-2.json"):
        shutil.copy(results / "validation" / name, records)
    (own_step,) = blocks(README, "python")
    (made / "own_step.py").write_text(own_step, encoding="utf-8")
    for (_, name), code in EXAMPLES.items():
        (made / name).write_text(code, encoding="utf-8")
    return made


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In that folder, `main` leaving the process as it was."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    before, modules, path = signal.getsignal(signal.SIGTERM), set(sys.modules), list(sys.path)
    yield folder
    signal.signal(signal.SIGTERM, before)
    sys.path[:] = path
    for name in {name.removesuffix(".py") for _, name in EXAMPLES} - modules:
        sys.modules.pop(name, None)


def taken_apart(command: str) -> tuple[dict[str, str], list[str], str]:
    """What a command sets in its environment, its words as bash makes them, and the file that it prints into."""
    command, _, into = command.partition(" >")
    (into,) = words_of(into.lstrip("> ")) if into else ("",)
    words = words_of(command)
    start = words.index("python")
    sets = dict(word.split("=", 1) for word in words[:start])
    return sets, words[start:], into


def words_of(line: str) -> list[str]:
    if "$" not in line:
        return shlex.split(line)
    found = subprocess.run(["bash", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True)
    return found.stdout.splitlines()


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c not in SETS_UP | LAUNCHED | NOT_RUN.keys() | MEASURED.keys()]
)
def test_a_command_that_measures_nothing_works(
    command: str, inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(inside / "summary.md"))
    _, (_, _, module, *argv), into = taken_apart(command)
    assert module == "bench"
    assert argv[0] not in ("run", "ab", "gate"), "say in MEASURED how it is made small, or in NOT_RUN why it isn't run"
    assert main(argv) == 0
    printed, _ = capsys.readouterr()
    assert printed or into
    if into:
        Path(into).write_text(printed, encoding="utf-8")


@pytest.mark.usefixtures("compiled_before")
@pytest.mark.parametrize("command", MEASURED)
def test_a_command_that_measures_works_made_small(
    command: str, inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets, (_, _, _, *argv), _ = taken_apart(command)
    for name, value in sets.items():
        monkeypatch.setenv(name, value)
    assert main([*argv, *MEASURED[command], *BRIEF, "--out", "small.json"]) == 0
    printed, complaints = capsys.readouterr()
    assert "BROKEN" not in printed
    assert "what single does" in printed
    assert complaints == ""


@pytest.mark.parametrize("command", [c for c in NOT_RUN if " --work" in c and " -m bench " in c and ".py" not in c])
def test_a_command_that_is_not_run_has_cases(command: str, inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, (_, _, _, *argv), _ = taken_apart(command)
    own = ("--budget", "--restarts", "--out", "--trace")  # what `list` has no need of
    kept = [word for before, word in zip(["", *argv], argv, strict=False) if word not in own and before not in own]
    assert main(["list", *[word for word in kept[1:] if word not in ("--parts", "--noise")]]) == 0
    assert "/" in capsys.readouterr().out


def test_what_is_not_run_is_on_a_page() -> None:
    assert {*SETS_UP, *LAUNCHED, *NOT_RUN, *MEASURED} <= set(COMMANDS)
    assert FRAGMENTS.keys() <= {page.name for page in PAGES if blocks(page, "python")}


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_every_command_on_a_page_is_understood(page: Path) -> None:
    for command in [*commands(page), *inline(page)]:
        if "python -m" in command:
            understood(command)


def test_every_example_has_a_file_of_its_own_and_a_test() -> None:
    """tests/test_docs_library.py and test_docs_pytest.py run theirs."""
    names = [name for _, name in EXAMPLES]
    assert len(set(names)) == len(names)
    assert len(names) == sum(len(blocks(page, "python")) for page in PAGES if page.name not in FRAGMENTS)
    assert {page for page, _ in EXAMPLES} == {"own-workload.md", "library.md", "pytest.md"}


@pytest.mark.usefixtures("compiled_once")
@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_on_a_page_takes_a_step(name: str, inside: Path) -> None:
    importlib.invalidate_caches()
    workload = imported.workload(name)
    state = workload.init(jax.random.PRNGKey(0))
    after, metrics = jax.jit(workload.step)(state, workload.batch(jax.random.PRNGKey(1), workload.batch_size))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert np.isfinite(loss(metrics))
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True))
