"""Flow runs and their Jobs are made to tell the same story: what is seen, decided and done."""
