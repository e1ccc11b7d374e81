"""What Prefect shares between processes, kept in `prefect_state`: results, locks, run logs."""
