"""Who did what: from a row to its writers, and from a run or a person to what was written."""
