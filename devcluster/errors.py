"""What goes wrong, in words for the user."""


class DevclusterError(Exception):
    """A step failed: the message says what, and what to do. Exit code 1."""


class RefusedError(DevclusterError):
    """Nothing was touched, because this machine or the user does not allow it. Exit code 2."""
