"""Networks written for other runtimes: one format a file, each checked by running it against Keras; and proofs."""
