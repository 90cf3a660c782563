"""`python -m cars_bench` is `cars-bench`."""

from cars_bench.cli.app import main

main()
