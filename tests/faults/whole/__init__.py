"""The whole system, struck while a cohort is on its way. A package: its plant ends with its last test."""
