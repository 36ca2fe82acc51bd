"""Fetches a model of Hugging Face in an engine's image: standard library, and what the image has of Hugging Face's.

Nothing of this package is imported by the operator: its files travel in a ConfigMap (`engines.fetch_pod`).
"""
