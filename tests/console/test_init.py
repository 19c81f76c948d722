"""`init`: a configuration that explains itself, a secret for its owner alone, nothing overwritten."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from chassis.settings import known_keys, load
from console.template import rendered
from services.ingest.identity import read_identity
from tests.console.conftest import Command


def test_init_writes_a_site_that_loads(cohortstream: Command, tmp_path: Path) -> None:
    ran = cohortstream("init", "site", "--reference", "GRCh38")
    assert ran.code == 0, ran.err
    settings = load(tmp_path / "site" / "cohortstream.toml", environ={})
    assert settings.ingest.roots == (tmp_path / "site" / "runs",)
    assert settings.ingest.roots[0].is_dir()
    assert settings.align.reference == "GRCh38"
    assert settings.state_dir == tmp_path / "site" / "state"
    assert "cohortstream up" in ran.out


def test_the_secret_is_for_its_owner_alone_and_is_a_good_one(cohortstream: Command, tmp_path: Path) -> None:
    cohortstream("init", "site")
    cohortstream("init", "other")
    secret = tmp_path / "site" / "site-secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    settings = load(tmp_path / "site" / "cohortstream.toml", environ={})
    assert len(read_identity(settings.site).secret) == 64
    assert secret.read_bytes() != (tmp_path / "other" / "site-secret").read_bytes()


def test_nothing_is_overwritten_unasked_and_the_secret_never(cohortstream: Command, tmp_path: Path) -> None:
    cohortstream("init", "site")
    config, secret = tmp_path / "site" / "cohortstream.toml", tmp_path / "site" / "site-secret"
    config.write_text("# mine\n", encoding="utf-8")
    before = secret.read_bytes()

    refused = cohortstream("init", "site")
    assert refused.code == 3
    assert "CONFIG_EXISTS" in refused.paragraph
    assert config.read_text(encoding="utf-8") == "# mine\n"

    assert cohortstream("init", "site", "--force").code == 0
    assert config.read_text(encoding="utf-8") != "# mine\n"
    assert secret.read_bytes() == before


def test_the_template_holds_every_setting_in_its_section_and_shows_true_defaults(tmp_path: Path) -> None:
    """Given the template with every commented setting switched on that has a default, it loads to the defaults."""
    text = rendered(tmp_path, reference=None)
    shown: set[str] = set()
    section = ""
    for line in text.splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = f"{heading[1]}."
        elif setting := re.match(r"(?:# )?([a-z_0-9]+) = ", line):
            shown.add(section + setting[1])
    assert shown == set(known_keys())

    examples = ("/etc/", "/var/", "/scratch", "/mnt/", "user:password", '"..."', "example.org", "4318", "9464", "16686")
    examples = (*examples, "qc-passed", "cohortstream_align")
    on = [
        line.removeprefix("# ")
        if re.match(r"# [a-z_0-9]+ = ", line) and not any(word in line for word in (*examples, "GRCh38"))
        else line
        for line in text.splitlines()
    ]
    config = tmp_path / "on.toml"
    config.write_text("\n".join(on), encoding="utf-8")
    (tmp_path / "off.toml").write_text(text, encoding="utf-8")
    switched_on = load(config, environ={}).model_dump()
    switched_on["kafka"]["sasl_username"] = None  # an example, as it has no default
    assert switched_on == load(tmp_path / "off.toml", environ={}).model_dump()


def test_a_folder_with_quotes_and_spaces_survives(cohortstream: Command, tmp_path: Path) -> None:
    folder = tmp_path / 'a "site" of mine'
    assert cohortstream("init", folder).code == 0
    assert load(folder / "cohortstream.toml", environ={}).state_dir == folder / "state"
