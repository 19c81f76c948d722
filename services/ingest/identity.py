"""Who is who without saying so: keys of samples and libraries are HMACs under the site's secret.

HMAC-SHA256 (RFC 2104) over the names joined by NUL, cut to 96 bits: stable over runs and machines, the same for the
same sample only, and not to be guessed from a list of likely ids without the secret.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from chassis.errors import Rejected, reject
from chassis.settings import SiteSettings

SECRET_BYTES = 32
_KEY_DIGITS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    secret: bytes = field(repr=False)

    def sample(self, *, project: str, sample: str) -> str:
        """`smp_` and 24 hex digits for (project, laboratory's sample id)."""
        return f"smp_{self._digest(project, sample)}"

    def library(self, *, project: str, sample: str, library: str) -> str:
        """`lib_` and 24 hex digits for a library of that sample."""
        return f"lib_{self._digest(project, sample, library)}"

    def _digest(self, *names: str) -> str:
        return hmac.new(self.secret, "\0".join(names).encode(), hashlib.sha256).hexdigest()[:_KEY_DIGITS]


def read_identity(site: SiteSettings) -> Identity:
    """Read the site's secret. Raises Rejected CONFIG_MISSING or CONFIG_VALUE: without it nothing may be named."""
    path = site.secret_file
    if path is None:
        raise _missing("site.secret_file is not set", where="site.secret_file")
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            secret = file.read(4096).strip()
    except FileNotFoundError:
        raise _missing("the file of the site's secret is not there", where=str(path)) from None
    except OSError as error:
        raise _missing(f"the site's secret cannot be read: {error.strerror}", where=str(path)) from None
    # a file that is mounted by itself was given to this container alone, whatever its mode on the host
    if mode & 0o077 and not os.path.ismount(path):
        raise reject(
            code="CONFIG_VALUE",
            message="other accounts may read or write the site's secret",
            where=str(path),
            rule="with the secret, sample keys can be traced back to ids: it is its owner's alone",
            fix=f"chmod 600 {path}",
        )
    if len(secret) < SECRET_BYTES:
        raise reject(
            code="CONFIG_VALUE",
            message=f"the site's secret has {len(secret)} bytes",
            where=str(path),
            rule=f"it has {SECRET_BYTES} bytes or more",
            fix="restore the file from the backup; a new secret would give every sample a new key",
        )
    return Identity(secret=secret)


def make_secret(path: Path) -> None:
    """Write a new secret (mode 0600). Raises FileExistsError: a site's secret is made once and kept for ever."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(SECRET_BYTES) + "\n")


def _missing(message: str, *, where: str) -> Rejected:
    return reject(
        code="CONFIG_MISSING",
        message=message,
        where=where,
        rule="sample keys are made with the site's secret, the same one for ever",
        fix="run `cohortstream init` for a new site; for an old one restore the file from its backup",
    )
