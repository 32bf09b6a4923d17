"""Faster ways to compute what the networks compute, swapped in from outside; no network knows of them."""
