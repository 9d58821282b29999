"""The kinds of data that a spec can train on, one a module."""
