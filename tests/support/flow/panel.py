"""A released panel's content, for comparing two of them byte for byte: dates and command lines aside."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from chassis.storage import manifests
from chassis.storage.store import Store
from contracts.values import Artifact, ArtifactKind, ManifestRef

_ASIDE = re.compile(rb"^##(?:GATKCommandLine|bcftools_\w+|fileDate|source)[^\n]*\n", re.MULTILINE)
COMPARED = (ArtifactKind.vcf, ArtifactKind.parquet)


async def content(store: Store, panel: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 by file name of every VCF (unpacked) and every Parquet file that the panel's manifest names."""
    found: dict[str, str] = {}
    for entry in await manifests.read_manifest(store, ManifestRef.model_validate(panel["manifest"])):
        artifact = Artifact.model_validate(entry["artifact"])
        if artifact.kind not in COMPARED:
            continue
        packed = await store.get_bytes(artifact.uri, limit=1 << 28, sha256=artifact.id)
        plain = _ASIDE.sub(b"", gzip.decompress(packed)) if artifact.kind is ArtifactKind.vcf else packed
        found[str(entry["name"])] = hashlib.sha256(plain).hexdigest()
    assert any(name.endswith(".vcf.gz") for name in found), f"the panel names no VCF: {sorted(found)}"
    return found
