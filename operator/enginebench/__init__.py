"""EngineBench: declare, orchestrate and measure benchmarks of inference engines on Kubernetes."""

__version__ = "0.1.0"
