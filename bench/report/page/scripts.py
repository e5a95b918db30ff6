"""What a page runs, which lies in it, and that it can run and fetch nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from importlib import resources

# No `eval`: Vega interprets the expressions of charts. Its marks have styles of their own.
POLICY = (
    "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)


def of_page(*, charts: bool) -> list[str]:
    """The scripts of a page, in order; without Vega where there is no chart."""
    return [*([vega()] if charts else []), part("page.js")]


def policy(scripts: Sequence[str]) -> str:
    """A Content-Security-Policy that lets these run, told by their hashes, and forbids every request."""
    return POLICY.format(scripts=" ".join(f"'sha256-{_hash(script)}'" for script in scripts))


def part(name: str) -> str:
    """A file of this package."""
    return resources.files("bench.report.page").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def vega() -> str:
    """Vega, Vega-Lite and vega-embed, of which the scripts after it know `vegaEmbed`."""
    import vl_convert

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    return f"(() => {{{bundle}}})();"


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
