"""What a study holds, shown by an experiment tracker: rows from disk, two trackers, one sync."""
