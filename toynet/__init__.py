"""The classifier of the tutorial "A Simple Neural Net in Jax", trained in several modes."""
