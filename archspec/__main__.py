"""`python -m archspec` is the command line."""

from archspec.cli import run

run()
