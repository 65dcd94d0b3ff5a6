"""One file per pattern, found by being here. The file's name is the pattern's, with underscores."""
