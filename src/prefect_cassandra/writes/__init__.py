"""Writing: the loader and what it reports. Knows no Prefect; takes a driver session and plain values."""
