"""The simulated engine: vLLM's and Ollama's APIs on the clock of a declared latency model."""
