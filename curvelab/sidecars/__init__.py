"""The shelf of settings files that stand beside logs: one file per kind, found by being there (see curvelab/beside.py)."""
