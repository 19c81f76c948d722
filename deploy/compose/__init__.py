"""The system in containers on one host: compose.yaml, and what fills a site's folder for it."""
