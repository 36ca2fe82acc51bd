"""Frames, messages, histograms and figures: shared by the load pod, the operator and the reports."""
