"""Published experiments as folders that run: what is asked, how it is done, what came of it."""
