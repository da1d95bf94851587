"""Voice activity detection and the speech gate."""
