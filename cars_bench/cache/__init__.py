"""The feature cache: recipe, shards, the extract pass, reading and verifying."""
