"""What the demos share: the flights as they are in their source, a run of them, and the count."""
