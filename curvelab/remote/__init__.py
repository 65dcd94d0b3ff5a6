"""Runs that live elsewhere: object stores through fsspec, and W&B's own service."""
