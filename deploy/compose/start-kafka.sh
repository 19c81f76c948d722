#!/bin/bash
# Configures the broker from KAFKA_*, formats its storage at the first start, and runs it. The steps are the image's own;
# a storage that is formatted already is no error here, whichever build of the image runs.
set -euo pipefail
if ! said=$(/opt/kafka/bin/kafka-run-class.sh kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker \
  --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config 2>&1); then
  if ! grep -qi 'already formatted' <<<"$said"; then
    echo "$said" >&2
    exit 1
  fi
fi
exec /opt/kafka/bin/kafka-server-start.sh /opt/kafka/config/server.properties
