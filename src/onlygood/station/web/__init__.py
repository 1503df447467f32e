"""What the station says over HTTP."""
