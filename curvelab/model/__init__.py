"""The nouns of curvelab. This package imports nothing else of ours."""
