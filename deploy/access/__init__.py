"""Least privilege: which account of a service may do what in Postgres, Kafka and the object store, and making it so."""
