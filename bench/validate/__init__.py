"""Shows that the method of `bench ab` is right: by simulation, and with planted truths on the machine at hand."""
