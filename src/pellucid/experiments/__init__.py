"""From a config to a run directory, and from run directories to measurements."""
