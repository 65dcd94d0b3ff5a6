"""The parts of a nightly audit: what has changed, reading and judging in many processes, what is unusual, who is told."""
