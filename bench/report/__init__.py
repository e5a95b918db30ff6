"""A record as people read it: one table model and charts of it, and how they are shown."""
