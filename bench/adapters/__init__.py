"""Make a Workload of a model, a loss, an optimizer and examples; each module imports the library that it is for."""
