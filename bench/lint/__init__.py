"""Looks a workload over before it is measured: what would spoil its times, or make them times of something else.

`checks.findings` has the list of what is looked for; each of the other modules has one theme of it. The workers' side:
needs only the standard library, JAX and NumPy.
"""
