"""JAX as the tests need it: set before anything starts it, in this process only (workers get their own)."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

# Where the tests run in a job of GitHub Actions, its summary isn't for what they compare.
os.environ.pop("GITHUB_STEP_SUMMARY", None)
# What a test starts, a pytest of its own among it, is no worker of pytest-xdist, even if this process is one; nor does
# it print on a terminal, whose width such a worker is given.
for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "COLUMNS", "LINES"):
    os.environ.pop(name, None)

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
# What broadcasts silently is an error, so that no padding axis is added up unnoticed. (Strict dtype promotion,
# its companion, doesn't get through optax's adam; a test of the gradients turns it on.)
jax.config.update("jax_numpy_rank_promotion", "raise")

# Eight devices on few cores, with other tests beside them, may wait for each other longer than the 40 s after which
# XLA would end this process. It reads its flags when JAX starts; what a test starts has its own.
ENDLESS = "--xla_cpu_collective_call_terminate_timeout_seconds=3600"
with pytest.MonkeyPatch.context() as started:
    started.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} {ENDLESS}".lstrip())
    # Started now: a command that a test calls in this process asks for fewer devices and must find eight.
    assert jax.device_count() == 8

# The same examples every time, and no time limit on each: the first of them compiles.
hypothesis.settings.register_profile("toynet", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("toynet")


def pytest_configure(config: pytest.Config) -> None:
    """A program of the cache that another process is still writing is compiled here, too, after JAX has warned."""
    config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache entry:UserWarning")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A compilation cache for all tests that don't ask what compiling takes: compiling is most of their time.

    Workers of pytest-xdist share it: each has a folder of its own in that of the whole run.
    """
    own = tmp_path_factory.getbasetemp()
    return (own.parent if hasattr(request.config, "workerinput") else own) / "compiled"


@pytest.fixture
def compiled_before(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the test starts find the cache, as those of a user who has set one; a run then has none of its
    own."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(compiled))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


@pytest.fixture(scope="module")
def compiled_once(compiled: Path) -> Iterator[None]:
    """Programs that a module's tests compile in this process, the same ones over and over, come from the cache."""

    def use(folder: str | None, seconds: float) -> None:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)
        compilation_cache.reset_cache()  # JAX asks once whether there is one

    use(str(compiled), 0.0)
    yield
    use(None, 1.0)  # as it is by itself


@pytest.fixture(scope="module")
def unoptimised() -> Iterator[None]:
    """A module's tests ask what programs compute, not how fast: most of the time of compiling goes into the latter."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
