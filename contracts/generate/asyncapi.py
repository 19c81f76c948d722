"""The AsyncAPI 3.0 document: channels are Kafka topics, messages CloudEvents in binary mode."""

from __future__ import annotations

from typing import Any

from contracts.envelope import CONTENT_TYPE, SPEC_VERSION
from contracts.events import ALL, BY_TYPE, Event, EventKind
from contracts.generate.schemas import example
from contracts.parties import EVERYONE, PARTIES
from contracts.topics import TOPICS, Topic

KAFKA_BINDING = "0.5.0"
SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"

_SAYS = {
    "ingest": "watches run folders, validates and stores their reads",
    "align": "aligns, marks duplicates, calls each sample",
    "jointcall": "freezes cohorts and genotypes their intervals",
    "vqsr": "filters a freeze's variants",
    "annotate": "annotates and releases the panel",
    "archive": "records, tiers, restores and purges artifacts",
    "console": "the command line and the web page, for people",
}


def document(*, version: str) -> dict[str, Any]:
    """The whole document; `version` is that of the contracts' latest release."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "cohortstream events",
            "version": version,
            "description": "What cohortstream's services say to each other. Facts tell, commands ask. Producers are "
            "strict, readers ignore fields they do not know, and a change only ever adds optional fields.",
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": party, "description": _SAYS[party]} for party in EVERYONE],
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "Any Kafka cluster; the embedded stack starts one on a free loopback port.",
                "variables": {"bootstrap": {"description": "host:port", "default": "localhost:9092"}},
            }
        },
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": dict(_operation(party, event, action) for party, event, action in _spoken()),
        "components": {"messages": {event.TYPE: _message(event) for event in ALL}},
    }


def _spoken() -> list[tuple[str, type[Event], str]]:
    return [
        (party, BY_TYPE[name], action)
        for party in EVERYONE
        for name, parties in PARTIES.items()
        for action, who in (("send", parties.producers), ("receive", parties.consumers))
        if party in who
    ]


def _channel(topic: Topic) -> dict[str, Any]:
    config = dict(topic.config)
    return {
        "address": topic.name,
        "summary": summary_of(topic.event),
        "messages": {topic.name: {"$ref": f"#/components/messages/{topic.name}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": config["cleanup.policy"].split(","),
                    "retention.ms": topic.retention_ms,
                    "max.message.bytes": int(config["max.message.bytes"]),
                },
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _message(event: type[Event]) -> dict[str, Any]:
    topic = next(topic for topic in TOPICS if topic.event is event)
    return {
        "name": event.TYPE,
        "title": event.__name__,
        "summary": summary_of(event),
        "tags": [{"name": "command" if event.KIND is EventKind.command else "fact"}],
        "contentType": CONTENT_TYPE,
        "headers": _headers(event),
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": f"./schemas/{event.TYPE}.json"}},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"the {topic.key}: order holds within it"},
                "bindingVersion": KAFKA_BINDING,
            }
        },
        "examples": [{"name": "valid", "payload": example(event.TYPE)}],
    }


def _headers(event: type[Event]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time"],
        "properties": {
            "ce_specversion": {"type": "string", "const": SPEC_VERSION},
            "ce_id": {
                "type": "string",
                "format": "uuid",
                "description": f"UUIDv5 of type, subject and occurrence: once per {event.ONCE_PER}",
            },
            "ce_type": {"type": "string", "const": event.ce_type()},
            "ce_source": {"type": "string", "description": "the service that published it"},
            "ce_subject": {"type": "string", "description": "what the event is about; repeats the body"},
            "ce_time": {"type": "string", "format": "date-time", "description": "when it became true"},
            "content-type": {"type": "string", "const": CONTENT_TYPE},
            "traceparent": {"type": "string", "description": "W3C trace context of the attempt that caused it"},
        },
    }


def _operation(party: str, event: type[Event], action: str) -> tuple[str, dict[str, Any]]:
    verb = {"send": "sends", "receive": "receives"}[action]
    return f"{party}.{verb}.{event.TYPE}", {
        "action": action,
        "channel": {"$ref": f"#/channels/{event.TYPE}"},
        "summary": f"{party} {verb} {event.TYPE}",
        "tags": [{"name": party}],
        "messages": [{"$ref": f"#/channels/{event.TYPE}/messages/{event.TYPE}"}],
    }


def summary_of(event: type[Event]) -> str:
    """The first paragraph of an event's docstring."""
    return " ".join((event.__doc__ or "").strip().split("\n\n")[0].split())
