"""Affinity, as in a Pod: where an engine may go, beyond what a nodeSelector can say."""

from typing import Annotated, Literal

from pydantic import Field

from enginebench.api.base import SpecObject
from enginebench.api.rules import Rule
from enginebench.api.types import LABEL_KEYS, LabelValue, Name

LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
Value = Annotated[str, Field(max_length=253)]
Weight = Annotated[int, Field(ge=1, le=100)]


def _values_fit(operators_with: str, operators_without: str) -> Rule:
    with_values, without = operators_with.split(), operators_without.split()
    return Rule(
        sentence=f"{', '.join(with_values)} need values; {' and '.join(without)} take none",
        cel=f"(self.operator in {without!r}) != (has(self.values) && size(self.values) > 0)",
        holds=lambda self: (self.operator in without) != bool(self.values),
        field=".operator",
    )


class NodeSelectorRequirement(SpecObject):
    """What one label or field of a node must be."""

    rules = (_values_fit("In NotIn Gt Lt", "Exists DoesNotExist"),)

    key: LabelKey
    """The label's key, or the field's name (metadata.name)."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """How the node's value relates to `values`."""
    values: Annotated[list[Value], Field(max_length=16)] | None = None
    """What to compare with; one number for Gt and Lt."""


class NodeSelectorTerm(SpecObject):
    """Requirements that must all hold."""

    match_expressions: Annotated[list[NodeSelectorRequirement], Field(max_length=4)] | None = None
    """By the node's labels."""
    match_fields: Annotated[list[NodeSelectorRequirement], Field(max_length=4)] | None = None
    """By the node's fields."""


class NodeSelectorTerms(SpecObject):
    """Terms of which one must hold."""

    node_selector_terms: Annotated[list[NodeSelectorTerm], Field(min_length=1, max_length=4)]
    """One of these must hold."""


class PreferredNodes(SpecObject):
    """A wish with a weight."""

    weight: Weight
    """How much it counts, 1 to 100."""
    preference: NodeSelectorTerm
    """What is preferred."""


class NodeAffinity(SpecObject):
    """Nodes by their labels and fields."""

    required_during_scheduling_ignored_during_execution: NodeSelectorTerms | None = None
    """The engine goes to such a node or nowhere."""
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredNodes], Field(max_length=4)] | None
    ) = None
    """The engine rather goes to such nodes."""


class LabelRequirement(SpecObject):
    """What one label of a pod must be."""

    rules = (_values_fit("In NotIn", "Exists DoesNotExist"),)

    key: LabelKey
    """The label's key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the pod's value relates to `values`."""
    values: Annotated[list[LabelValue], Field(max_length=8)] | None = None
    """What to compare with."""


class LabelSelector(SpecObject):
    """Pods by their labels."""

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=8), LABEL_KEYS] | None = None
    """Labels that must be there with these values."""
    match_expressions: Annotated[list[LabelRequirement], Field(max_length=4)] | None = None
    """Requirements that must all hold."""


class PodAffinityTerm(SpecObject):
    """Pods, and how near they are meant."""

    label_selector: LabelSelector | None = None
    """Which pods."""
    namespaces: Annotated[list[Name], Field(max_length=16)] | None = None
    """Whose pods; the run's own namespace where absent."""
    topology_key: LabelKey
    """The node label whose value is shared, such as kubernetes.io/hostname."""


class PreferredPods(SpecObject):
    """A wish with a weight."""

    weight: Weight
    """How much it counts, 1 to 100."""
    pod_affinity_term: PodAffinityTerm
    """What is preferred."""


class PodAffinity(SpecObject):
    """Nearness to (or distance from) other pods."""

    required_during_scheduling_ignored_during_execution: (
        Annotated[list[PodAffinityTerm], Field(max_length=4)] | None
    ) = None
    """Must hold."""
    preferred_during_scheduling_ignored_during_execution: Annotated[list[PreferredPods], Field(max_length=4)] | None = (
        None
    )
    """Should hold."""


class Affinity(SpecObject):
    """As `spec.affinity` of a Pod."""

    node_affinity: NodeAffinity | None = None
    """Nodes that the engine must or should go to."""
    pod_affinity: PodAffinity | None = None
    """Pods that the engine must or should be near."""
    pod_anti_affinity: PodAffinity | None = None
    """Pods that the engine must or should be far from."""
