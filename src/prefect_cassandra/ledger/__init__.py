"""What is kept for good: which version of a deployment was in use, since when, made by whom."""
