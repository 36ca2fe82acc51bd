"""Thousands of short runs leave much garbage: it is collected in larger portions."""

from tests.simulation.simulate import spare_the_collector

spare_the_collector()
