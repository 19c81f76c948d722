"""How many examples each property of this folder gets: few by default, as many as FUZZ_EXAMPLES says."""

from __future__ import annotations

import hypothesis

from tests.fuzz.judged import EXAMPLES

hypothesis.settings.register_profile(
    "long",
    parent=hypothesis.settings.get_profile("shared"),
    max_examples=max(EXAMPLES, 2000),
)
