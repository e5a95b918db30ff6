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

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
# What broadcasts silently is an error, so that no padding axis is added up unnoticed. (Strict dtype promotion,
# its companion, doesn't get through optax's adam; a test of the gradients turns it on.)
jax.config.update("jax_numpy_rank_promotion", "raise")

# Started now: a command that a test calls in this process asks for fewer devices and must find eight.
assert jax.device_count() == 8

# The same examples every time, and no time limit on each: the first of them compiles.
hypothesis.settings.register_profile("toynet", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("toynet")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compilation cache for all tests that don't ask what compiling takes: compiling is most of their time."""
    return tmp_path_factory.mktemp("compiled")


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
