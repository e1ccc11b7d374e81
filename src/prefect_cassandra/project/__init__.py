"""What a folder of flows is and how Prefect learns of it, wherever the flows are going to run."""
