"""One rule of the decision a file, each a small pure function."""
