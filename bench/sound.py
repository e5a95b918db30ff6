"""Whether a workload's functions take and give what they should: traced, and nothing of them run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from bench import foreign
from bench.lint import leaves
from toynet.errors import UsageError
from toynet.workload import Workload, loss

# Of a tree, in characters.
SHOWN = 240
# Of NumPy's dtypes; V: bfloat16 and its like.
KINDS = "biufcV"
TAKEN = {
    "init": ("key",),
    "batch": ("key", "n"),
    "step": ("state", "batch", "axis_name"),
    "gradients": ("state", "batch", "axis_name"),
}
# What is raised where a function wants to know a number that isn't there yet.
UNKNOWN_YET = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
TRACED = "it is traced, so what depends on its arguments has no value yet; compute that with jax.numpy and jax.lax"


@dataclass(frozen=True)
class Shapes:
    """What a workload's functions give, as trees of shapes and dtypes."""

    state: Any
    batch: Any
    metrics: Any


def check(
    workload: Workload,
    name: str | None = None,
    until: float | None = None,
    *,
    lasting: bool = True,
    sizes: Iterable[int] = (),
) -> Shapes:
    """Traces the functions of a workload, called `name` (None: as it calls itself), at its own batch size.

    With `lasting` a step has to give its state as it came in. Batches have to be there in these `sizes`, too.

    Raises UsageError for one that raises, that takes or gives something else than it should, that changes what it is
    handed, or isn't traced by `until` on the monotonic clock.
    """
    name = workload.name if name is None else name
    for number in ("batch_size", "epoch_steps"):
        if not isinstance(value := getattr(workload, number), int) or value < 1:
            raise UsageError(f"{name!r}: {number} must be a whole number of 1 or more, got {value!r}.")
    for function, names in TAKEN.items():
        if function != "gradients" or workload.gradients is not None:
            check_takes(name, function, getattr(workload, function), names)
    key = jax.eval_shape(lambda: jax.random.PRNGKey(0))
    n = workload.batch_size
    state = _given(name, "init", lambda of: workload.init(of["key"]), {"key": key}, until)
    batch, *_ = [_batch(workload, name, key, size, until) for size in (n, *sizes)]
    both = {"state": state, "batch": batch}
    stepped = _given(name, "step", lambda of: workload.step(of["state"], of["batch"], None), both, until)
    metrics = _check_stepped(name, state, stepped, lasting=lasting)
    if (gradients := workload.gradients) is not None:
        _given(name, "gradients", lambda of: gradients(of["state"], of["batch"], None), both, until)
    return Shapes(state, batch, metrics)


def check_takes(name: str, function: str, given: Any, names: tuple[str, ...], named: tuple[str, ...] = ()) -> None:
    """Raises UsageError for what isn't a function, or one that can't be called with so many arguments, and those that
    are `named` by their names."""
    if not callable(given):
        raise UsageError(f"{name!r}: its {function} is of type {type(given).__name__}, and a function was expected.")
    try:
        signature = inspect.signature(given)
    except (TypeError, ValueError):  # some built-in functions don't tell
        return
    try:
        signature.bind(*names, **dict.fromkeys(named))
    except TypeError:
        called = ", ".join([*names, *(f"{each}=None" for each in named)])
        raise UsageError(
            f"{name!r}: its {function} takes {signature}, and is called as {function}({called}); change what it takes."
        ) from None


def _given(name: str, function: str, call: Callable[[Any], Any], handed: dict[str, Any], until: float | None) -> Any:
    """The shapes of what a function gives for what it is handed: trees of shapes, by the names of its arguments."""
    kept: list[tuple[Any, str]] = []

    def keeping(of: dict[str, Any]) -> tuple[()]:
        before = jax.tree.flatten(of)
        lasting = all(a is b for a, b in zip(before[0], jax.tree.leaves(of), strict=True))  # not made anew each time
        given = call(of)
        kept.append((_shapes(name, function, given), _changed(before, of) if lasting else ""))
        return ()

    with foreign.running(f"{name!r}: its {function}", until):
        try:
            jax.eval_shape(keeping, handed)
        except UNKNOWN_YET as error:
            if function != "batch":
                error.args = (TRACED,)
                raise
            keeping({"key": jax.random.PRNGKey(0)})  # it draws by NumPy, which can't be traced
    given, changed = kept[0]
    if changed:
        raise UsageError(
            f"{name!r}: its {function} changes its own argument in place ({changed}); make a new tree instead, as in "
            "{**state, 'step': state['step'] + 1}."
        )
    return given


def _shapes(name: str, function: str, given: Any) -> Any:
    """The same tree of shapes and dtypes; raises UsageError for a leaf that is no array."""

    def shape(path: Any, leaf: Any) -> jax.ShapeDtypeStruct:
        if isinstance(leaf, jax.Array):
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
        if (
            isinstance(leaf, (bool, int, float, complex, np.generic, np.ndarray))
            and np.asarray(leaf).dtype.kind in KINDS
        ):
            found = jax.eval_shape(lambda: leaf)
            return jax.ShapeDtypeStruct(found.shape, found.dtype)
        of = f" of {leaf.dtype}" if isinstance(leaf, np.ndarray | np.generic) else ""
        fix = (
            "leave it out, or make numbers of it"
            if function == "batch"
            else "keep what isn't trained or counted out of it: in a closure, or as a static field of its class"
        )
        raise UsageError(
            f"{name!r}: {_called(function, path)} is of type {type(leaf).__name__}{of}, and arrays of numbers were "
            f"expected; {fix}."
        )

    return jax.tree_util.tree_map_with_path(shape, given)


def _called(function: str, path: Any) -> str:
    """A leaf of what a function gives."""
    whole = {"init": "the state", "batch": "the batch", "gradients": "gradients"}.get(function)
    if whole is not None:
        return f"leaf {jax.tree_util.keystr(path)} of {whole}" if path else whole
    return f"leaf {jax.tree_util.keystr(path)} of what its {function} gives"


def _batch(workload: Workload, name: str, key: Any, n: int, until: float | None) -> Any:
    """The shapes of a batch of n examples."""
    batch = _given(name, "batch", lambda of: workload.batch(of["key"], n), {"key": key}, until)
    _check_leads(name, batch, n)
    return batch


def _changed(before: tuple[list[Any], Any], of: dict[str, Any]) -> str:
    """Where arguments aren't what they were; empty if they are."""
    were, structure = before
    if jax.tree.structure(of) != structure:
        then = structure.unflatten(were)
        found = [each for name in of for each in differences(then[name], of[name], name)]
        return min(found, key=len).split(":")[0]
    paths = [path for name, tree in sorted(of.items()) for path in _leaves(tree, name)]
    return next((path for path, a, b in zip(paths, were, jax.tree.leaves(of), strict=True) if a is not b), "")


def _check_leads(name: str, batch: Any, n: int) -> None:
    found = jax.tree_util.tree_flatten_with_path(batch)[0]
    if not found:
        raise UsageError(
            f"{name!r}: its batch has no array; a tree of arrays that lead with {n} examples was expected."
        )
    for path, leaf in found:
        if leaf.shape[:1] != (n,):
            raise UsageError(
                f"{name!r}: batch{jax.tree_util.keystr(path)} is {_shown(leaf)}, and an array that leads with n = {n} "
                "examples was expected; what belongs to no example, as a key, is kept in the state."
            )


def _check_stepped(name: str, state: Any, stepped: Any, *, lasting: bool) -> Any:
    """The metrics of what a step gives; raises UsageError unless it is (state, metrics), the state as it came in if it
    is to be `lasting`."""
    if not isinstance(stepped, (tuple, list)) or len(stepped) != 2:
        what = f"{len(stepped)} values" if isinstance(stepped, (tuple, list)) else _tree(stepped)
        raise UsageError(f"{name!r}: its step gives {what}, and (state, metrics) was expected.")
    after, metrics = stepped
    if found := differences(state, after):
        if not differences(state, metrics):
            raise UsageError(f"{name!r}: its step gives (metrics, state), and (state, metrics) was expected.")
        if lasting:
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            raise UsageError(
                f"{name!r}: its step gives another state than it takes: {found[0]}{more}; whole: {_tree(state)} came "
                f"in, {_tree(after)} came out; {leaves.FIXES[leaves.changes(state, after, 'state')[0].what]}."
            )
    try:
        of = loss(metrics)
    except UsageError:
        raise UsageError(
            f"{name!r}: its metrics are {_tree(metrics)}, and a `loss` was expected among them, as in {{'loss': loss}}."
        ) from None
    if not isinstance(of, jax.ShapeDtypeStruct) or of.shape or not jax.numpy.issubdtype(of.dtype, jax.numpy.floating):
        raise UsageError(f"{name!r}: its loss is {_tree(of)}, and a scalar was expected, such as the batch's mean.")
    return metrics


def differences(before: Any, after: Any, root: str = "state") -> list[str]:
    """How the shapes of a tree that came out differ from those that came in, the shortest first."""
    came, left = _leaves(before, root), _leaves(after, root)
    found = [
        f"{path}: {_shown(came[path])} came in, {_shown(left[path])} came out"
        for path in came
        if path in left and _shown(came[path]) != _shown(left[path])
    ]
    found += [f"{path}: {_shown(came[path])} came in, and nothing came out" for path in came if path not in left]
    found += [f"{path}: nothing came in, and {_shown(left[path])} came out" for path in left if path not in came]
    if not found and jax.tree.structure(before) != jax.tree.structure(after):
        found = [f"{root}: {_kind(before)} came in, {_kind(after)} came out"]
    return sorted(found, key=len)


def _kind(tree: Any) -> str:
    return str(jax.tree.structure(tree)).removeprefix("PyTreeDef(").removesuffix(")")[:SHOWN]


def _leaves(tree: Any, root: str) -> Mapping[str, Any]:
    return {root + jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def _shown(leaf: Any) -> str:
    """Such as `float32[8]`."""
    return f"{leaf.dtype}{list(leaf.shape)}"


class _Leaf:
    """A leaf that is written as its shape."""

    def __init__(self, leaf: Any) -> None:
        self._shown = _shown(leaf)

    def __repr__(self) -> str:
        return self._shown


def _tree(tree: Any) -> str:
    """A tree with its shapes, no longer than a sentence takes."""
    said = " ".join(repr(jax.tree.map(_Leaf, tree)).split())
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}..."
