"""What differs between engines, and nothing else: one file each behind one Protocol."""
