"""What runs in the virtual pods."""
