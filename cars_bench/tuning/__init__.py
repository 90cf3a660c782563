"""Search spaces, oracles, the ledger, probes, checks, the leaderboard and the winner."""
