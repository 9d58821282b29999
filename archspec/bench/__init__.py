"""Networks measured under each runtime that is installed, and judged on their data."""
