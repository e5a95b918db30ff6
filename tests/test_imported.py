"""What a name leads to, and each way in which it leads nowhere: said in a sentence that names the file and the line."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import pytest

from bench import foreign, imported, lookup
from bench.cases import divided
from bench.live import nursery
from toynet.errors import UsageError

STEP = """\
import jax.numpy as jnp
def init(key): return {"w": jnp.zeros(3)}
def batch(key, n): return {"x": jnp.ones((n, 3))}
def step(state, batch): return state, {"loss": jnp.mean(batch["x"] @ state["w"])}
"""
Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Writes a file of Python into the current folder, and gives its name; what its import leaves behind is undone."""
    path, modules = [*sys.path], {*sys.modules}

    def written(name: str, text: str) -> str:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        return name

    with contextlib.chdir(tmp_path):
        yield written
    sys.path[:] = path
    for name in {*sys.modules} - modules:
        del sys.modules[name]


def said(name: str, until: float | None = None) -> str:
    with pytest.raises(UsageError) as refused:
        imported.workload(name, until)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("package.module:attribute", ("package.module", "attribute")),
        ("path/to/file.py", ("path/to/file.py", "")),
        ("path/to/file.py:attribute", ("path/to/file.py", "attribute")),
        ("a:b/file.py", ("a:b/file.py", "")),
        ("a:b/file.py:attribute", ("a:b/file.py", "attribute")),
    ],
)
def test_a_name_is_a_module_or_a_file_and_an_attribute(name: str, parts: tuple[str, str]) -> None:
    assert divided(name) == parts


@pytest.mark.parametrize("name", ["net.py", "my-net.py", "a folder/2 nets.v1.py", "dé:ux/net.py"])
def test_a_file_may_be_called_what_no_identifier_is(write: Write, name: str) -> None:
    found = imported.workload(write(name, STEP))
    assert found.name == name
    assert set(found.refused) == {"data_parallel", "ensemble_data", "fsdp", "zero1"}


def test_what_lies_beside_a_file_can_be_imported_by_it(write: Write) -> None:
    write("nets/beside_it.py", "SIZE = 5")
    write("nets/sized.py", f"from beside_it import SIZE\n{STEP}")
    assert lookup.own("nets/sized.py").batch_size == 32


def test_a_workload_may_be_made_by_a_function_and_a_step_be_anything_that_is_called(write: Write) -> None:
    made = "\ndef make(): return Workload(name='made', init=init, batch=batch, step=step)"
    made = f"from toynet.workload import Workload\n{STEP}{made}"
    assert imported.workload(write("made.py", made) + ":make").name == "made"
    jitted = "\nimport functools, jax\nstep = jax.jit(step)\npart = functools.partial(step)"
    assert imported.workload(write("jitted.py", STEP + jitted)).name == "jitted.py"
    assert imported.workload("jitted.py:part").name == "jitted.py:part"


def test_an_axis_name_may_have_to_be_named(write: Write) -> None:
    named = "\nstepped = step\ndef step(state, batch, *, axis_name): return stepped(state, batch)"
    found = imported.workload(write("named.py", STEP + named))
    assert not found.refused
    state = found.init(jax.random.PRNGKey(0))
    assert found.step(state, found.batch(jax.random.PRNGKey(0), 2), None)[0] is state


WRONG = {
    "no module": ("no_such.module:step", "", "there is no module 'no_such' on the path"),
    "no name of a module": (":step", "", "names no module; package.module:attribute was expected"),
    "no file": ("nowhere.py", "", "there is no file 'nowhere.py'"),
    "a file that is misspelt": ("nets.py:step", "", "there is no file 'nets.py'; '.' has net.py, other.py."),
    "no text": ("net.py", "\0", "its import raises SyntaxError"),
    "no folder": ("no/where.py", "", "for there is no folder 'no'"),
    "an attribute that is misspelt": (
        "net.py:stpe",
        STEP,
        "no attribute of 'net.py' is called 'stpe'; did you mean 'step'?",
    ),
    "neither a workload nor a step": (
        "net.py",
        "rate = 0.1",
        "has neither a `workload` nor functions `init`, `batch` and",
    ),
    "a number": ("net.py", STEP + "step = 3", "is of type int, and a Workload was expected, or a step"),
    "a class": ("net.py", STEP + "class step: pass", "is the class step, and a Workload was expected"),
    "a step alone": ("net.py", "def step(state, batch): pass", "a step was found, and no init and no batch beside it"),
    "a step of a file as it is": (
        "net.py",
        "import math\nfrom pathlib import Path\nrng = 3\ndef train_step(state, batch): pass",
        "it has: train_step. A step as it is, with one state and one batch, becomes one by `workload = bench.adapters.",
    ),
    "a step of one argument": (
        "net.py",
        STEP + "def step(state): pass",
        "its step takes (state), and is called as step(state, batch)",
    ),
    "syntax": ("net.py", "import jax\ndef step(:\n", "its import raises SyntaxError in net.py, line 2: invalid syntax"),
    "an error": ("net.py", "\n\n1 / 0", "its import raises ZeroDivisionError in net.py, line 3: division by zero."),
    "an error of a function": (
        "net.py",
        "def make():\n    raise RuntimeError('no data')\nworkload = make()",
        "its import raises RuntimeError in net.py, line 2: no data.",
    ),
    "an error of a function that is to make it": (
        "net.py",
        "def workload():\n    raise RuntimeError('no data')",
        "what makes it raises RuntimeError in net.py, line 2: no data.",
    ),
    "what it imports": (
        "net.py",
        "import no_such_thing",
        "ModuleNotFoundError in net.py, line 1: No module named 'no_such_thing'",
    ),
    "an end": (
        "net.py",
        "import sys\nsys.exit(3)",
        "ends the program by sys.exit(3) in net.py, line 2; keep what a script",
    ),
    "an interruption": (
        "net.py",
        "\nraise KeyboardInterrupt",
        "its import raises KeyboardInterrupt in net.py, line 2.",
    ),
    "a name of JAX's": ("jax.py", STEP, "a file called jax.py hides the module 'jax'"),
    "a name of Python's": ("zipapp.py", STEP, "a file called zipapp.py hides the module 'zipapp'"),
    "a name of this project's": ("bench.py", STEP, "a file called bench.py hides the module 'bench'"),
    "a name of what is installed": ("rich.py", STEP, "a file called rich.py hides the module 'rich'"),
}


@pytest.mark.parametrize(("name", "text", "why"), WRONG.values(), ids=WRONG)
def test_a_name_that_leads_to_no_workload_is_refused_with_the_reason(
    write: Write, name: str, text: str, why: str
) -> None:
    if text:
        write(name.partition(":")[0], text)
    elif name == "nets.py:step":
        write("other.py", "")
        write("net.py", "")
    assert why in said(name)


@pytest.mark.parametrize("caught", ["Exception", "BaseException"])
def test_an_import_that_takes_too_long_is_ended_in_its_line(write: Write, caught: str) -> None:
    text = f"import time\nwhile True:\n  try: time.sleep(9)\n  except {caught}: break\ntime.sleep(9)"
    began = time.monotonic() + 1  # by then it runs
    line = 3 if caught == "Exception" else 5  # what catches everything goes on, and is ended again
    assert f"its import takes too long: its time was up in net.py, line {line}" in said(write("net.py", text), began)
    assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    ("sets", "why"),
    [
        (
            "jax.config.update('jax_enable_x64', not jax.config.jax_enable_x64)",
            "sets jax_enable_x64 to True as it is imported (line 6 of sets.py)",
        ),
        ("os.environ['XLA_FLAGS'] = '--xla_dump_to='", "sets XLA_FLAGS to '--xla_dump_to=' as it is imported (line 6"),
    ],
)
def test_a_module_that_sets_what_a_record_tells_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch, sets: str, why: str
) -> None:
    monkeypatch.setenv("XLA_FLAGS", "")
    try:
        assert why in said(write("sets.py", f"import jax, os\n{STEP}{sets}"))
    finally:
        jax.config.update("jax_enable_x64", False)


def test_a_callback_that_raises_is_told_with_its_own_line(write: Write) -> None:
    calls = (
        "import jax\nstepped = step\ndef raises(x): raise ValueError('no file')\ndef step(state, batch):\n"
        "    return state, {'loss': jax.pure_callback(raises, jax.ShapeDtypeStruct((), jnp.float32), state['w'][0])}"
    )
    found = imported.workload(write("calls.py", STEP + calls))
    key = jax.random.PRNGKey(0)
    state, batch = found.init(key), found.batch(key, 2)
    with pytest.raises(UsageError) as refused, foreign.running("it"):
        jax.block_until_ready(jax.jit(found.step)(state, batch))
    assert str(refused.value).endswith("Error in calls.py, line 7: ValueError: no file.")


def test_a_worker_refuses_a_module_that_asks_for_devices_of_its_own_or_ends_the_process(write: Write) -> None:
    write("devices.py", f"import jax\n{STEP}jax.config.update('jax_num_cpu_devices', 4)\njax.devices()")
    write("ends.py", "import os\nprint('so long', flush=True)\nos._exit(0)")
    told = {}
    with nursery(60.0, None, ()) as start:
        for name in ("devices.py", "ends.py"):
            with contextlib.closing(start()) as worker, pytest.raises(UsageError) as refused:
                worker.own(name)
            told[name] = str(refused.value)
    assert "sets jax_num_cpu_devices to 4 as it is imported (line 6 of devices.py)" in told["devices.py"]
    assert "say it by --devices" in told["devices.py"]
    assert "'ends.py' can't be loaded: ended with status 0; it last printed: so long; what it runs" in told["ends.py"]
