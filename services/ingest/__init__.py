"""From a sequencer's run folder to validated FASTQs in the store and one `run.completed`."""
