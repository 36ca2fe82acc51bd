"""The shell around the core: observe a run, carry out a plan. It speaks to the API server alone."""
