"""kopf wiring: the event handlers, the work queue, the reconcile loop."""
