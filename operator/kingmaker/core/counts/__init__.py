"""What servers counted, as values: reference cells, windows, the ledger."""
