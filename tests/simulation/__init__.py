"""Whole runs of the operator's own code on a virtual cluster and a virtual clock, with faults and invariants.

    timeline      the clock, and programs that live on it
    store         objects as an API server keeps them; what watches them
    apiserver     `KubeApi` on that store: what a real API server refuses, and where calls go wrong
    controllers   scheduler, kubelets, Job controller, garbage collector, node lifecycle
    programs      what runs in the pods: engines and load pods that speak real frames
    operator      the process that is tested: reconcile, feeds, followed logs, crash and restart
    faults        one small class each; listed in `faults/__init__.py`
    invariants    one small function each; listed by their decorator
    scenario      a seed → a run, its cluster and its faults
    simulate      plays a scenario and judges it

`python -m tests.simulation SEED --verbose` replays a seed, `--shrink` drops the faults that its failure does not need,
`--until N` goes on to the first seed that fails. `SIMULATION_RUNS` and `SIMULATION_FIRST_SEED` set what pytest plays;
`python bench/simulation.py` tells how many runs a minute that is.
"""
