"""`make demo`: from a fresh clone to the comparison of three engines, on a cluster of its own."""
