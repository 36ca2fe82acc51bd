"""References to objects in the run's namespace."""

from typing import Annotated

from pydantic import Field

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


class ServiceRef(SpecObject):
    """A Service in the run's namespace. One of another namespace is named by its URL: http://name.namespace.svc:port."""

    name: Name
    """Name of the Service."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Which of its ports, by number; its only one where absent."""


class InferenceServiceRef(SpecObject):
    """A KServe InferenceService in the run's namespace."""

    name: Name
    """Name of the InferenceService."""


class LocalRef(SpecObject):
    """An object in the run's namespace."""

    name: Name
    """Its name."""
