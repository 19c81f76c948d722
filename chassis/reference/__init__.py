"""References: content-addressed bundles in the store, and the workers' cache of them."""
