"""`python -m deploy.compose prepare` fills the site's folder; `... addresses` says where things are."""

from __future__ import annotations

import sys

from chassis.errors import Rejected, ToolFailed
from deploy.compose.site import CONFIG, HOST, SECRETS, Addresses, addresses, prepare


def main(words: list[str]) -> int:
    try:
        if words == ["prepare"]:
            at, new = prepare()
            if new:
                _say(f"new in {at.site}: {', '.join(new)}")
            return 0
        if words == ["addresses"]:
            _show(addresses())
            return 0
    except (Rejected, ToolFailed) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write(f"{__doc__}\n")
    return 2


def _show(at: Addresses) -> None:
    _say(
        f"""
The operators' page     http://127.0.0.1:{at.page}    (sign in with {at.site / SECRETS / "page-token"})
traces in Jaeger        http://127.0.0.1:{at.jaeger}
metrics in Prometheus   http://127.0.0.1:{at.prometheus}
run folders go into     {at.runs}
configuration           {at.site / CONFIG}
commands                .venv/bin/cohortstream --config {at.site / HOST} status"""
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
