"""The script that a side's interpreter runs: makes `bench` this checkout's and `toynet` the side's, then nurses.

The interpreter need not have this project installed, and the side's tree may have a `bench` of its own.
Its arguments: the descriptor of the control socket, the tree that workloads are imported from, the
folder of `toynet`, modules to import. Needs the standard library only.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def load(package: str, folder: Path) -> None:
    """Imports a package from that folder, whatever the path would find."""
    spec = importlib.util.spec_from_file_location(
        package, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    spec.loader.exec_module(module)


def main() -> None:
    """Reads the arguments and nurses until the socket closes."""
    control, tree, toynet, *preload = sys.argv[1:]
    sys.path[0] = tree  # instead of this script's folder, whose modules would hide others
    load("bench", Path(__file__).resolve().parent)
    load("toynet", Path(toynet))
    from bench import nursery

    nursery.run(int(control), preload)


if __name__ == "__main__":
    main()
