"""Load generators side by side against the reference server: `make bench-loadgen`."""
