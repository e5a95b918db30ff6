"""The plugin for pytest, with `step_benchmark`. Every pytest loads it where this is installed, so it imports little."""
