"""The public address: we are paid here and can be seen here. It imports `core` only."""
