"""A real Kubernetes cluster for development and CI: kind, on any machine. See README.md."""
