"""Comparison -> page, terminal, Markdown. It computes nothing of its own but positions on paper."""
