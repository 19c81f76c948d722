"""How objects go cold: one protocol (backend.py), by the store's own classes or as copies in a cold place."""
