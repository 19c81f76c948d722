"""The stack without Docker: real Kafka, real Postgres, an S3 server that models Glacier; loopback, one state folder."""

from deploy.embedded.stack import EmbeddedStack, Endpoints, read_endpoints

__all__ = ["EmbeddedStack", "Endpoints", "read_endpoints"]
