"""References to objects in the run's namespace."""

from enginebench.api.base import SpecObject
from enginebench.api.types import Key, Name


class SecretKeyRef(SpecObject):
    """One key of a Secret in the run's namespace."""

    name: Name
    """Name of the Secret."""
    key: Key
    """Key in the Secret's data."""


class ConfigMapKeyRef(SpecObject):
    """One key of a ConfigMap in the run's namespace."""

    name: Name
    """Name of the ConfigMap."""
    key: Key
    """Key in the ConfigMap's data."""


class LocalRef(SpecObject):
    """An object in the run's namespace."""

    name: Name
    """Its name."""
