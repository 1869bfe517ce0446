"""The table that says how far the maps of trained runs can be trusted: planned, measured in resumable tasks, summed up."""
