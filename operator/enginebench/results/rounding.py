"""Figures as the status has them."""


def short(value: float) -> float:
    """Five significant digits: finer than any histogram, and 512 points fit into the status."""
    return float(f"{value:.5g}")
