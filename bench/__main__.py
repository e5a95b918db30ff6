"""`python -m bench`."""

import gc
import sys

from bench.cli import main

if __name__ == "__main__":
    # A command makes many small values and loses few of them: looking for those so often makes a report slower.
    gc.set_threshold(100_000, 50, 50)
    sys.exit(main())
