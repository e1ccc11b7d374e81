"""The command line `prefect-cassandra`: one module per group of commands; parse, call, render."""
