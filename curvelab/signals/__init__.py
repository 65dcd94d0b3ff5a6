"""Pure functions on arrays: noise, trend, schedules, episodes. They know nothing of runs, metrics or patterns."""
