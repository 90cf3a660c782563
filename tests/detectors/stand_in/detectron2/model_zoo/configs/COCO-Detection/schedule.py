steps = 90_000
