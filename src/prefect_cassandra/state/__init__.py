"""What Prefect shares between processes, kept in the keyspace `prefect_state`."""
