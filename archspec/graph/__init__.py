"""The graph: what a spec means, known whole before anything runs."""
