"""Data only: metric names, settings, words for fixes. Nothing here computes on a run."""
