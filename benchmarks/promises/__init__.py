"""Simulations in which the truth is known: distributions, one command line for all, other libraries' promises."""
