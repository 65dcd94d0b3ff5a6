"""One file per command. Each parses its arguments, calls one step of the library, prints, and sets the exit code."""
