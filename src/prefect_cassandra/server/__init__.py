"""The Prefect server with our layers on it: run logs in Cassandra."""
