"""Reading: scans of whole tables and results as Arrow. Knows no Prefect."""
