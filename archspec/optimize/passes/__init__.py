"""One pass a file; `driver.ORDER` says in which order they run."""
