"""Networks leave for other tools here, and their equality is proven on numbers."""
