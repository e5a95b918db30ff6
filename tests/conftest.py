"""JAX as the tests need it: set before anything starts it, in this process only (workers get their own)."""

import os

import hypothesis
import jax

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
