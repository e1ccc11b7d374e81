"""A real Cassandra, and the whole stack around it, on one machine without Docker."""
