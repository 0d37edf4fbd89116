"""A workflow task is scheduled, started, failed and timed out."""
