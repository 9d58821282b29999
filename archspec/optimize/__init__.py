"""Rewrites of a graph that leave its function as it is. No framework is loaded here."""
