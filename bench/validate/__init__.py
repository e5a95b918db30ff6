"""Shows what can be trusted: verdicts, by simulation and with planted truths; scaling; how soon a command starts."""
