"""Stores of artifacts: one protocol, `s3://` and `file://` behind it."""
