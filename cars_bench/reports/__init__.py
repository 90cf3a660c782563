"""The reports room: computes what a study found as plain data, then draws it as one page."""
