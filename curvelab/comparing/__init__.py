"""The parts of a comparison: alignment, settings, fairness, ranking, partings, effects. They know nothing of pages."""
