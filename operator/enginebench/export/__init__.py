"""`enginebench export`: a run's results as files for other programs."""
