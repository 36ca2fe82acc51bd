"""Other projects' load generators, each in a virtual environment of its own, from locked requirements."""
