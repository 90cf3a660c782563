"""What the functions of `cars_bench.api` give back: what is on disk, as tables and arrays.

Nothing is computed here: numbers come from `evaluation/` and `tuning/leaderboard.py`, as
those that the commands print.
"""
