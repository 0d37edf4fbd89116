"""Any durable execution: its key, what a transition may know, and what it hands to the runtime."""
