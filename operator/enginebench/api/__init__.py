"""The contract: the BenchmarkRun resource, and what the operator tells its load pods."""
