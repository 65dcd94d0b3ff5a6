"""What may lie behind a finding: one file per pattern, found by being there (see curvelab.weighing)."""
