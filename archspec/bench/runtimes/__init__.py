"""One way of running a network a file."""
