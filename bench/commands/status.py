"""Exit status, the same for every command."""

DONE, SLOWER, UNUSABLE, INCONCLUSIVE, BROKEN, INTERRUPTED = 0, 1, 2, 3, 4, 130
