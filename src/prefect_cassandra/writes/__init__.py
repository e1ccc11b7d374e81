"""Writing: the loader and what it reports. Takes a driver session and values; knows no Prefect."""
