"""Writes what follows from the models: JSON Schemas, the AsyncAPI document and docs/events.md."""
