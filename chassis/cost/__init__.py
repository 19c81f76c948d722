"""What work costs: a price list as data, and the arithmetic over time that the ledgers hold."""
