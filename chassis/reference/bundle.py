"""Registering references and finding them. In the store:

    reference/<digest>/contigs.json                  names and order of the sequences, written once
    reference/<digest>/<set>/<name>                  files; a set (sequences-…, sites-…, genes-…) never changes
    reference/<digest>/bundle-<revision>.json        a revision: which sets, which calling intervals
    reference/names/<name>.json                      a name points at one revision

The digest is over the sequences alone (fasta.digest_of). More known sites or another gene model for the same sequences
make another revision, which shares the sequences' set; the name moves to it only when that is asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from chassis.errors import Rejected, reject
from chassis.reference import build
from chassis.reference.fasta import Sequence as FastaSequence
from chassis.reference.fasta import digest_of, normalise
from chassis.reference.intervals import N_RUN_BP, calling_intervals
from chassis.reference.model import Bundle, BundleDocument, BundleFile, ContigFacts, Pointer, Role
from chassis.reference.regions import Stretch, read_regions
from chassis.storage import keys
from chassis.storage.store import ObjectMissing, Store, tags_of
from chassis.storage.sums import sum_of
from contracts.values import Name, ReferenceId

DOCUMENT_LIMIT = 64 << 20
"""Bytes of a bundle document; one of a human genome has some hundred kilobytes."""
_SEQUENCE_ROLES = frozenset({Role.fasta, Role.fai, Role.dictionary, Role.bwa})
_NAME: TypeAdapter[str] = TypeAdapter(Name)


async def add(
    store: Store,
    *,
    name: str,
    fasta: Path,
    gff: Path | None = None,
    known_sites: Sequence[Path] = (),
    max_interval_bp: int,
    scratch: Path,
    n_run_bp: int = N_RUN_BP,
    regions: Path | None = None,
    replace: bool = False,
) -> Bundle:
    """Check, index and store a reference; `scratch` needs room for the FASTA and its index (about 3 bytes a base).
    `regions` (BED or interval list) limits the calling intervals to what it names.

    The same again returns the bundle that is there. `replace` lets the name point at another bundle than before; the
    former stays, for the artifacts that name its digest. Raises Rejected: UNSAFE_ID, REFERENCE_TAKEN, and what the
    checks of FASTA, GFF3, VCF and regions say.
    """
    _check_name(name)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="reference-") as folder:
        work = Path(folder)
        plain = work / build.FASTA_NAME
        sequences = await asyncio.to_thread(normalise, fasta, plain)
        digest = digest_of(sequences)
        recipe = await asyncio.to_thread(_recipe, plain, gff, known_sites, max_interval_bp, n_run_bp, regions)
        pointer = await _pointer(store, name)
        if pointer is not None:
            there = await _document(store, pointer)
            if there.recipe == recipe:
                return _bundle(pointer, there)
            if not replace:
                raise _taken(name, pointer, digest)
        contigs = tuple(ContigFacts(name=s.name, length=s.length, md5=s.md5) for s in sequences)
        await _agree_on_names(store, digest, contigs)
        document = await _same_recipe(store, digest, recipe)
        if document is None:
            within = _within(regions, sequences)
            made = await _make(store, digest, sequences, plain, gff, known_sites, work)
            document = BundleDocument(
                digest=digest,
                recipe=recipe,
                contigs=contigs,
                intervals=calling_intervals(
                    sequences, max_interval_bp=max_interval_bp, n_run_bp=n_run_bp, within=within
                ),
                files=tuple(made),
            )
            await store.put_bytes(
                _document_key(digest, document.revision), document.canonical(), tags=_tags(digest), if_absent=True
            )
    wanted = Pointer(name=name, digest=digest, revision=document.revision)
    await _point(store, wanted, replace=replace)
    return _bundle(wanted, document)


async def find(store: Store, reference: str | ReferenceId) -> Bundle:
    """By name, or by the id that an artifact names: the digest decides then, also when the name points elsewhere now.
    Raises Rejected REFERENCE_UNKNOWN."""
    if isinstance(reference, ReferenceId):
        pointer = await _pointer(store, reference.name)
        if pointer is None or pointer.digest != reference.digest:
            return await _by_digest(store, reference)
    else:
        _check_name(reference)
        pointer = await _pointer(store, reference)
        if pointer is None:
            raise _unknown(reference)
    return _bundle(pointer, await _document(store, pointer))


async def list_references(store: Store) -> tuple[Bundle, ...]:
    """What the names point at, by name."""
    found = []
    async for facts in store.list(f"{keys.REFERENCE}/names"):
        pointer = Pointer.model_validate_json(await store.get_bytes(facts.key, limit=DOCUMENT_LIMIT))
        found.append(_bundle(pointer, await _document(store, pointer)))
    return tuple(found)


async def _make(
    store: Store,
    digest: str,
    sequences: tuple[FastaSequence, ...],
    plain: Path,
    gff: Path | None,
    known_sites: Sequence[Path],
    work: Path,
) -> list[BundleFile]:
    lengths = {sequence.name: sequence.length for sequence in sequences}
    made: list[build.Made] = []
    files: list[BundleFile] = []
    # resources first: a wrong one is found before bwa has run for an hour. They need the .fai, which is quick
    await asyncio.to_thread(_index, plain)
    for number, vcf in enumerate(known_sites, start=1):
        folder = work / f"sites-{number}"
        folder.mkdir()
        made += await asyncio.to_thread(build.known_sites_set, vcf, fasta=plain, lengths=lengths, folder=folder)
    if gff is not None:
        made += await asyncio.to_thread(build.gene_model_set, gff, lengths=lengths, folder=work)
    known = await _sequence_files(store, digest)
    if known is None:
        made += await asyncio.to_thread(build.sequence_set, plain, sequences)
    else:
        files += known
    for part in made:
        key = keys.reference(digest=digest, name=part.file.path)
        await store.put_file(key, part.at, sha256=part.file.sha256, tags=_tags(digest), if_absent=True)
    return files + [part.file for part in made]


def _index(fasta: Path) -> None:
    import pysam

    pysam.faidx(str(fasta))


async def _sequence_files(store: Store, digest: str) -> list[BundleFile] | None:
    """Of any revision of these sequences: the index need not be made again."""
    documents = await _documents(store, digest)
    return [file for file in documents[0].files if file.role in _SEQUENCE_ROLES] if documents else None


async def _same_recipe(store: Store, digest: str, recipe: str) -> BundleDocument | None:
    return next((found for found in await _documents(store, digest) if found.recipe == recipe), None)


async def _documents(store: Store, digest: str) -> list[BundleDocument]:
    """The newest first."""
    found = [
        facts
        async for facts in store.list(f"{keys.REFERENCE}/{digest}")
        if facts.key.count("/") == 2 and facts.key.rpartition("/")[2].startswith("bundle-")
    ]
    found.sort(key=lambda facts: (facts.modified, facts.key), reverse=True)
    return [
        BundleDocument.model_validate_json(await store.get_bytes(facts.key, limit=DOCUMENT_LIMIT)) for facts in found
    ]


async def _by_digest(store: Store, reference: ReferenceId) -> Bundle:
    documents = await _documents(store, reference.digest)
    if not documents:
        raise _unknown(str(reference))
    return Bundle(id=reference, document=documents[0])


async def _agree_on_names(store: Store, digest: str, contigs: tuple[ContigFacts, ...]) -> None:
    """One digest has one naming: artifacts are compared by digest, and chr1 beside 1 must not pass for the same."""
    key = keys.reference(digest=digest, name="contigs.json")
    body = json.dumps([contig.model_dump() for contig in contigs], sort_keys=True, separators=(",", ":")).encode()
    try:
        await store.put_bytes(key, body, tags=_tags(digest), if_absent=True)
    except Rejected as error:
        if error.rejection.code != "IDEMPOTENCY_CONFLICT":
            raise
        raise reject(
            code="BUILD_MISMATCH",
            message="these sequences are registered under other names or in another order",
            where=f"reference {digest}",
            rule="the same sequences have one naming and one order in a store",
            fix="use the registered reference, or rename the contigs to match it",
        ) from None


async def _pointer(store: Store, name: str) -> Pointer | None:
    try:
        body = await store.get_bytes(keys.reference_name(name=name), limit=DOCUMENT_LIMIT)
    except ObjectMissing:
        return None
    return Pointer.model_validate_json(body)


async def _document(store: Store, pointer: Pointer) -> BundleDocument:
    body = await store.get_bytes(
        _document_key(pointer.digest, pointer.revision), limit=DOCUMENT_LIMIT, sha256=pointer.revision
    )
    return BundleDocument.model_validate_json(body)


async def _point(store: Store, pointer: Pointer, *, replace: bool) -> None:
    key = keys.reference_name(name=pointer.name)
    body = pointer.model_dump_json().encode()
    try:
        await store.put_bytes(key, body, tags=_tags(pointer.digest), if_absent=not replace)
    except Rejected as error:
        if error.rejection.code != "IDEMPOTENCY_CONFLICT":
            raise
        # another registration of this name was quicker
        raise _taken(pointer.name, await _pointer(store, pointer.name), pointer.digest) from None


def _within(regions: Path | None, sequences: Sequence[FastaSequence]) -> dict[str, tuple[Stretch, ...]] | None:
    if regions is None:
        return None
    return read_regions(regions, lengths={sequence.name: sequence.length for sequence in sequences})


def _recipe(
    plain: Path,
    gff: Path | None,
    known_sites: Sequence[Path],
    max_interval_bp: int,
    n_run_bp: int,
    regions: Path | None,
) -> str:
    given: dict[str, object] = {
        "fasta": sum_of(plain)[0],
        "gff": sum_of(gff)[0] if gff is not None else None,
        "known_sites": sorted([vcf.name, sum_of(vcf)[0]] for vcf in known_sites),
        "max_interval_bp": max_interval_bp,
        "n_run_bp": n_run_bp,
    }
    if regions is not None:
        given["regions"] = [regions.name, sum_of(regions)[0]]
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


def _bundle(pointer: Pointer, document: BundleDocument) -> Bundle:
    return Bundle(id=ReferenceId(name=pointer.name, digest=pointer.digest), document=document)


def _document_key(digest: str, revision: str) -> str:
    return keys.reference(digest=digest, name=f"bundle-{revision}.json")


def _tags(digest: str) -> dict[str, str]:
    return tags_of(kind="reference", stage="reference", subject=digest)


def _check_name(name: str) -> None:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        raise reject(
            code="UNSAFE_ID",
            message="the name cannot name a reference",
            where="the reference's name",
            rule="1 to 100 of A-Z a-z 0-9 . _ -, starting with a letter or digit",
            fix="choose such a name, GRCh38 for example",
        ) from None


def _taken(name: str, there: Pointer | None, digest: str) -> Rejected:
    same = there is not None and there.digest == digest
    what = "the same sequences with other resources or intervals" if same else "other sequences"
    return reject(
        code="REFERENCE_TAKEN",
        message=f"{name} is registered with {what}",
        where=f"reference {name}",
        rule="a name keeps its content unless a person says otherwise",
        fix="choose another name, or give --replace to let the name point at this one from now on",
    )


def _unknown(name: str) -> Rejected:
    return reject(
        code="REFERENCE_UNKNOWN",
        message="no such reference is registered",
        where=f"reference {name}",
        rule="a reference is registered before it is used",
        fix="`cohortstream reference list` shows what there is; `cohortstream reference add` registers one",
    )
