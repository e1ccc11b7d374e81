"""What tests share: waiting on conditions, free ports, faults."""
