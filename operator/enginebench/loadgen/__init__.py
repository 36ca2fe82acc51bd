"""The program in the load pod: prepares, verifies, warms up, loads, reports."""
