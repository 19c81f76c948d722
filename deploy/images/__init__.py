"""Images of each role of each service."""
