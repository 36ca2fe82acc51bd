"""GuideLLM as the load generator: run beside the load pod's own program, point by point, and its report taken over."""
