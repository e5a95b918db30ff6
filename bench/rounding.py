"""What a step's numbers are rounded to: by their dtypes, and by a device that rounds factors of products more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# What `jax_default_matmul_precision` may say, where it isn't the platform's own way: TF32 on a GPU, which keeps 11
# bits, and on a TPU bfloat16, multiplied several times for more bits.
_USUAL = {"gpu": "tensorfloat32", "tpu": "bfloat16"}
_NAMED = {
    **dict.fromkeys(("highest", "float32", "F32_F32_F32"), "float32"),
    **dict.fromkeys(("BF16_BF16_BF16", "BF16_BF16_F32"), "bfloat16"),
    **dict.fromkeys(("high", "tensorfloat32", "TF32_TF32_F32", "BF16_BF16_F32_X3"), "tensorfloat32"),
}


def of(products: str, platform: str, precision: str | None) -> str:
    """`tensorfloat32` or `bfloat16` where float32 products may be rounded so, else `products` as it is.

    `platform` is a backend of JAX, `precision` its setting `jax_default_matmul_precision`. An old GPU that has no
    TF32 computes more exactly than that.
    """
    if products != "float32" or platform not in _USUAL:
        return products
    return _NAMED.get(precision or "", _USUAL[platform])


def computed_in(state: Sequence[str], factors: Iterable[str]) -> tuple[str, str]:
    """The coarsest dtype of a state, and of it and its products, from the names of all; float32 where none is floating.

    `factors` are the dtypes of what a step multiplies.
    """
    return _coarsest(state), _coarsest([*state, *factors])


def _coarsest(dtypes: Iterable[str]) -> str:
    """The floating one with the fewest bits."""
    import jax.numpy as jnp

    floating = [name for name in dtypes if name in jnp.__dict__ and jnp.issubdtype(jnp.dtype(name), jnp.floating)]
    return min(floating, key=lambda name: (jnp.finfo(name).nmant, name), default="float32")


def precision_setting() -> str | None:
    """What `jax_default_matmul_precision` is set to."""
    import jax

    return getattr(jax.config, "jax_default_matmul_precision")  # noqa: B009, JAX adds it while it runs
