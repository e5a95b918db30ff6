"""A record as people read it: one table model, rendered to a terminal, Markdown and a picture."""
