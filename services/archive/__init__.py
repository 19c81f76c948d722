"""archive: what is kept, where it lies, what it costs; it moves and purges by policy, never without proof."""
