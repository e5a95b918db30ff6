"""`python -m toynet train`: the tutorial's classifier in any mode. JAX is loaded once the flags make sense."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from toynet.arguments import parsed
from toynet.errors import ProcessInterrupted, ProcessLost, UsageError
from toynet.options import Room, Train, asked
from toynet.xla import usable_cores


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; its exit status: 0 done, 2 unusable input, 4 a process was lost, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        status = train(parsed("python -m toynet", argv, {"train": Train}), argv)
        sys.stdout.flush()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ProcessInterrupted):
        return 130
    except ProcessLost as lost:
        print(f"error: {lost}.", file=sys.stderr)
        return 4
    except BrokenPipeError:
        # Whoever read the lines has left (`| head`); nothing more can be printed, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 130
    return status


def train(options: Train, argv: Sequence[str]) -> int:
    """Trains, alone or as one of several processes of that command line; gives the exit status.

    Raises UsageError before anything is written, and ProcessLost.
    """
    place = options.place(options.limit_s)
    if place is None:
        room = Room(cores=len(usable_cores()))
        asked(options, room)
        from toynet import training

        training.run(options, room)
        return 0
    asked(options, Room(processes=place.count, devices=place.count))
    from toynet import several

    return several.train(place, options, argv)


if __name__ == "__main__":
    sys.exit(main())
