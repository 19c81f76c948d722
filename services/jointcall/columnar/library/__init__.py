"""The joint genotyper as people use it alone: each operation on a joint store in one call, with typed results."""
