"""Draws a Diagnosis: the HTML page, the index, the terminal, Markdown. Computes nothing about training."""
