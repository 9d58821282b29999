"""What a graph costs: parameters, multiply-accumulates, bytes."""
