"""What a training minimises: losses and formulas, phases, what is frozen, initial weights."""
