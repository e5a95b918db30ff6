"""The cases of `bench run` as pytest-benchmark tests."""
