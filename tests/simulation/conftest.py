"""Thousands of short runs leave much garbage: it is collected in larger portions."""

import gc

from tests.simulation.simulate import GARBAGE

gc.set_threshold(*GARBAGE)
