"""One file per log format, found by being here. Names that begin with an underscore are parts of an importer."""
