"""The operators' page: server-rendered, one process, read-only unless a token is set."""
